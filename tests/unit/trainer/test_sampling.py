"""The order of the data is a function of seed and epoch, from any position on, for any ranks."""

from collections import Counter
from itertools import chain

from hypothesis import given
from hypothesis import strategies as st
from trainingjob_trainer.sampling import ResumableSampler
from trainingjob_trainer.task import DataRequest

sizes = st.integers(min_value=1, max_value=200)
worlds = st.integers(min_value=1, max_value=8)


def samples(
    size: int, rank: int, world: int, *, seed: int = 0, epoch: int = 1, at: int = 0
) -> list[int]:
    sampler = ResumableSampler(range(size), DataRequest(4, rank, world, seed))
    sampler.start_at(epoch, at)
    taken = list(sampler)
    assert len(taken) == len(sampler)
    return taken


@given(sizes, worlds, st.integers(0, 10))
def test_ranks_share_an_epoch_evenly_and_repeat_nothing(size: int, world: int, seed: int) -> None:
    shares = [samples(size, rank, world, seed=seed) for rank in range(world)]

    assert {len(share) for share in shares} == {size // world}
    assert all(count == 1 for count in Counter(chain(*shares)).values())


@given(sizes, worlds, st.integers(0, 50))
def test_an_epoch_that_starts_late_is_the_rest_of_the_whole(
    size: int, world: int, rounds: int
) -> None:
    for rank in range(world):
        whole = samples(size, rank, world)

        assert samples(size, rank, world, at=rounds * world) == whole[rounds:]


@given(sizes, worlds, worlds, st.integers(0, 50))
def test_other_ranks_go_on_with_what_the_first_left(
    size: int, before: int, after: int, rounds: int
) -> None:
    rounds = min(rounds, size // before)
    first = [samples(size, rank, before)[:rounds] for rank in range(before)]
    second = [samples(size, rank, after, at=rounds * before) for rank in range(after)]

    seen = Counter(chain(*first, *second))
    assert all(count == 1 for count in seen.values())
    assert size - len(seen) < after


def test_seed_and_epoch_make_the_order() -> None:
    orders = {
        (seed, epoch): tuple(samples(50, 0, 1, seed=seed, epoch=epoch))
        for seed in range(4)
        for epoch in range(1, 5)
    }

    assert len(set(orders.values())) == 16
