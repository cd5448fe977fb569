"""Interrupted anywhere, training goes on as if it had not been: bit for bit, on the CPU."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from trainingjob_trainer.checkpoint import CheckpointStore

from tests.integration.trainer.attempts import Attempts, exact

EPOCHS = 3
INTERRUPTIONS = 3
OPTIONS = (
    *("--epochs", str(EPOCHS), "--batch-size", "4", "--checkpoint-every-seconds", "0"),
    *("--schedule", "cosine", "--warmup-steps", "2", "--clip-norm", "0.5"),
)


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Attempts]:
    """Trainings that nothing interrupted, each made once."""
    done: dict[tuple[int, tuple[str, ...]], Attempts] = {}

    def train(ranks: int, arguments: tuple[str, ...], **environment: str) -> Attempts:
        key = (ranks, arguments + tuple(environment.values()))
        if key not in done:
            done[key] = Attempts(tmp_path_factory.mktemp("whole"), arguments, ranks)
            codes = done[key].run(**environment)
            assert codes == [0] * ranks, done[key].output()
        return done[key]

    return train


def points(attempts: Attempts, seed: int) -> list[tuple[int, int]]:
    """Choose batches, in order, each with the rank that is to be interrupted there."""
    chance = np.random.default_rng(seed)
    batches = chance.choice(range(2, len(attempts.records())), INTERRUPTIONS, replace=False)
    return [(int(batch), int(chance.integers(attempts.ranks))) for batch in sorted(batches)]


def final_state(attempts: Attempts) -> tuple[object, object]:
    """Describe what training came to, and its best model, to the last bit."""
    store = CheckpointStore(attempts.directory / "checkpoints", keep=3)
    step = store.steps()[0]
    assert [store.problem(step, rank) for rank in range(attempts.ranks)] == [None] * attempts.ranks
    shared, _ = store.read(step, rank=0)
    trained = {name: shared[name] for name in ("setup", "model", "optimizer", "scheduler")}
    return exact(trained), exact(store.read_best())


LOADERS = (
    "shuffle",
    "generator",
    "numpy",
    "batch-sampler",
    "set-epoch",
    "persistent",
    "positioned",
)
KINDS = [(ranks, accumulate, "ddp") for ranks in (1, 2) for accumulate in (1, 2)] + [
    *((1, 1, "fsdp2"), (2, 2, "fsdp2"))
]


@pytest.mark.parametrize(("ranks", "accumulate", "parallel"), KINDS)
def test_after_sigterm_no_step_is_repeated_and_none_differs(
    tmp_path: Path, whole: Callable[..., Attempts], ranks: int, accumulate: int, parallel: str
) -> None:
    arguments = (*OPTIONS, "--accumulate", str(accumulate), "--parallel", parallel)
    expected = whole(ranks, arguments)
    stopped = Attempts(tmp_path, arguments, ranks)

    for batch, rank in points(expected, seed=10 * ranks + accumulate):
        codes = stopped.run(TINY_SIGNAL=f"{batch} {rank}", TINY_SIGNAL_NAME="SIGTERM")
        assert codes == [143] * ranks, stopped.output()
    assert stopped.run() == [0] * ranks, stopped.output()

    for rank in range(ranks):
        assert stopped.records(rank) == expected.records(rank)
    assert final_state(stopped) == final_state(expected)


@pytest.mark.parametrize(("ranks", "accumulate", "parallel"), KINDS)
def test_after_sigkill_the_repeated_steps_are_the_same(
    tmp_path: Path, whole: Callable[..., Attempts], ranks: int, accumulate: int, parallel: str
) -> None:
    arguments = (*OPTIONS, "--accumulate", str(accumulate), "--parallel", parallel)
    expected = whole(ranks, arguments)
    killed = Attempts(tmp_path, arguments, ranks)

    for batch, rank in points(expected, seed=20 * ranks + accumulate):
        codes = killed.run(TINY_SIGNAL=f"{batch} {rank}", TINY_SIGNAL_NAME="SIGKILL")
        assert codes[rank] == -9, killed.output()
        assert 0 not in codes
    assert killed.run() == [0] * ranks, killed.output()

    assert "goes on after step" in killed.output()
    for rank in range(ranks):
        assert set(killed.records(rank)) == set(expected.records(rank))
    assert final_state(killed) == final_state(expected)


@pytest.mark.parametrize(
    ("options", "environment"),
    [
        (("--precision", "fp16"), {}),
        (("--precision", "bf16"), {}),
        *(((), {"TINY_LOADER": loader}) for loader in LOADERS),
        # After the signal its step still needs more batches than the workers have made.
        (("--accumulate", "15"), {"TINY_WORKERS": "2"}),
        (("--steps-per-epoch", "11"), {"TINY_LOADER": "stream"}),
        (("--steps-per-epoch", "11"), {}),
    ],
    ids=[
        *("fp16", "bf16", *LOADERS, "a loader with workers"),
        *("a stream", "less than all of the data"),
    ],
)
def test_scalers_and_other_loaders_resume_too(
    tmp_path: Path,
    whole: Callable[..., Attempts],
    options: tuple[str, ...],
    environment: dict[str, str],
) -> None:
    expected = whole(1, OPTIONS + options, **environment)
    stopped = Attempts(tmp_path, OPTIONS + options)

    for batch in ("20 0", "31 0"):
        codes = stopped.run(TINY_SIGNAL=batch, TINY_SIGNAL_NAME="SIGTERM", **environment)
        assert codes == [143], stopped.output()
    assert stopped.run(**environment) == [0], stopped.output()

    assert stopped.records() == expected.records()
    assert final_state(stopped) == final_state(expected)


def test_a_corrupt_checkpoint_gives_way_to_the_one_before(
    tmp_path: Path, whole: Callable[..., Attempts]
) -> None:
    expected = whole(2, OPTIONS)
    damaged = Attempts(tmp_path, OPTIONS, ranks=2)
    damaged.run(TINY_SIGNAL="10 1", TINY_SIGNAL_NAME="SIGTERM")
    newest, before, *_ = CheckpointStore(tmp_path / "checkpoints", keep=3).steps()
    file = tmp_path / "checkpoints" / f"step_{newest:09d}" / "rank_00001.pt"
    file.write_bytes(file.read_bytes()[:-1])

    assert damaged.run() == [0, 0], damaged.output()

    assert f"checkpoint of step {newest}: rank_00001.pt is corrupt" in damaged.output()
    assert f"goes on after step {before}, in epoch " in damaged.output()
    assert set(damaged.records()) == set(expected.records())
    assert final_state(damaged) == final_state(expected)


@pytest.mark.parametrize(("before", "after"), [(1, 2), (2, 1)])
def test_another_number_of_ranks_goes_on(tmp_path: Path, before: int, after: int) -> None:
    first = Attempts(tmp_path, OPTIONS, before)
    assert first.run(TINY_SIGNAL="3 0", TINY_SIGNAL_NAME="SIGTERM") == [143] * before
    second = Attempts(tmp_path, OPTIONS, after)

    assert second.run() == [0] * after, second.output()

    assert f"not bit for bit: world_size {before} → {after}" in second.output()
    assert "epoch 3/3" in second.output()


def test_without_a_common_directory_there_are_no_checkpoints(tmp_path: Path) -> None:
    apart = Attempts(tmp_path, ("--epochs", "1"), ranks=2, share_directory=False)

    assert apart.run() == [0, 0], apart.output()

    assert "no checkpoints: " in apart.output()
    assert list((tmp_path / "0" / "checkpoints").iterdir()) == []


def test_a_training_that_is_done_has_nothing_to_repeat(tmp_path: Path) -> None:
    done = Attempts(tmp_path, OPTIONS)
    assert done.run() == [0]
    records = done.records()

    assert done.run() == [0]

    assert done.records() == records


@pytest.mark.parametrize("sync_seconds", ["0", "0.3"])
def test_training_ends_early_and_stays_ended(tmp_path: Path, sync_seconds: str) -> None:
    early = Attempts(tmp_path, ("--epochs", "50", "--batch-size", "20", "--patience", "1"))

    assert early.run(TINY_SYNC_SECONDS=sync_seconds) == [0], early.output()
    records = early.records()
    assert early.run() == [0], early.output()

    best = CheckpointStore(tmp_path / "checkpoints", keep=3).read_best()
    assert best is not None
    assert f"no better loss since epoch {best['epoch']}: training ends" in early.output()
    assert len(records) == 3 * (best["epoch"] + 1)
    assert early.records() == records


def test_checkpoints_of_another_job_need_a_word(tmp_path: Path) -> None:
    first = {"TRAININGJOB_NAME": "first", "TRAININGJOB_UID": "u-1"}
    second = {"TRAININGJOB_NAME": "second", "TRAININGJOB_UID": "u-2"}
    tiny = Attempts(tmp_path, OPTIONS)
    assert tiny.run(TINY_SIGNAL="3 0", TINY_SIGNAL_NAME="SIGTERM", **first) == [143]

    assert tiny.run(**second) == [1]
    assert "the checkpoints are of TrainingJob first (u-1), another job" in tiny.output()

    adopted = {"TRAININGJOB_OPTION_ADOPT_CHECKPOINTS": "true", "TINY_SIGNAL": "4 0"}
    assert tiny.run(**adopted, TINY_SIGNAL_NAME="SIGTERM", **second) == [143], tiny.output()
    assert "goes on from the checkpoints of TrainingJob first (u-1)" in tiny.output()

    assert tiny.run(**second | {"TRAININGJOB_UID": "u-3"}) == [0], "created again"
    assert "goes on from the checkpoints of TrainingJob second (u-2)" in tiny.output()


def test_checkpoints_of_another_task_are_refused(tmp_path: Path) -> None:
    tiny = Attempts(tmp_path, OPTIONS)
    assert tiny.run(TINY_SIGNAL="3 0", TINY_SIGNAL_NAME="SIGTERM") == [143]

    assert tiny.run(TINY_NAME="huge") == [1]

    assert "the checkpoints are of task tiny, not huge: use another --checkpoint-dir" in (
        tiny.output()
    )
