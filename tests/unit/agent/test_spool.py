"""What the spool promises, whatever becomes of its files."""

import errno
import io
import logging
import os
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from mlflow.utils.validation import path_not_unique, validate_param_and_metric_name
from trainingjob_agent.contract import Contract
from trainingjob_agent.delivery.batch import Batch, fit_key, join
from trainingjob_agent.delivery.point import Point
from trainingjob_agent.delivery.records import MAGIC, decode_record, encode_record, scan
from trainingjob_agent.delivery.spool import Spool

texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
points = st.builds(
    Point,
    texts,
    st.floats(allow_nan=False),
    st.integers(0, 2**53),
    st.integers(0, 2**40),
    st.none(),
)
pairs = st.lists(st.tuples(texts, texts), max_size=3).map(tuple)
batches = st.builds(Batch, st.lists(points, max_size=4).map(tuple), pairs, pairs)


def point(step: int, run_id: str | None = None) -> Point:
    return Point("train/loss", 1 / step, 1_000 + step, step, run_id)


def steps(first: int, last: int) -> Batch:
    return Batch(tuple(point(step) for step in range(first, last + 1)))


def opened(directory: Path | None, node_rank: int = 0, num_nodes: int = 1) -> Spool:
    spool = Spool(directory, node_rank=node_rank, num_nodes=num_nodes)
    spool.open()
    return spool


def content(spool: Spool) -> list[Batch]:
    return [frame.read() for frame in spool.first(10**6)]


def abandon(spool: Spool) -> None:
    """Leave it as a killed process does: only its lock goes."""
    assert spool._lock is not None
    spool._lock.close()


def segment_files(directory: Path) -> list[str]:
    return sorted(path.name for path in directory.glob("*.spool"))


@given(batches)
def test_a_batch_comes_back_as_it_was(batch: Batch) -> None:
    assert Batch.from_bytes(batch.to_bytes()) == batch


def test_what_json_has_no_number_for_comes_back_and_is_spelled_for_mlflow() -> None:
    values = [float("nan"), float("inf"), float("-inf"), 1e-300]
    batch = Batch(tuple(Point("a", value, 1, 1) for value in values))

    assert repr(Batch.from_bytes(batch.to_bytes())) == repr(batch)
    assert [metric["value"] for metric in batch.request("r")["metrics"]] == [
        "NaN",
        "Infinity",
        "-Infinity",
        1e-300,
    ]


@given(st.lists(st.binary(max_size=50), max_size=6), st.data())
def test_a_truncated_segment_loses_only_its_tail(bodies: list[bytes], data: st.DataObject) -> None:
    encoded = [encode_record(body, index) for index, body in enumerate(bodies)]
    whole = MAGIC + b"".join(encoded)
    cut = data.draw(st.integers(0, len(whole)))
    ends = [len(MAGIC) + sum(map(len, encoded[: index + 1])) for index in range(len(bodies))]

    found = list(scan(whole[:cut]))

    assert [(decode_record(whole[r.offset : r.offset + r.length]), r.points) for r in found] == [
        (body, index) for index, body in enumerate(bodies) if ends[index] <= cut
    ]


@given(st.lists(st.binary(min_size=1, max_size=50), min_size=1, max_size=6), st.data())
def test_a_changed_bit_is_noticed_and_spares_what_is_before(
    bodies: list[bytes], data: st.DataObject
) -> None:
    encoded = [encode_record(body, 1) for body in bodies]
    damaged = bytearray(MAGIC + b"".join(encoded))
    place = data.draw(st.integers(len(MAGIC), len(damaged) - 1))
    damaged[place] ^= 1 << data.draw(st.integers(0, 7))
    ends = [len(MAGIC) + sum(map(len, encoded[: index + 1])) for index in range(len(bodies))]

    assert len(list(scan(bytes(damaged)))) == sum(end <= place for end in ends)


@settings(max_examples=50)
@given(st.integers(0, 10**6), st.binary(max_size=40))
def test_the_next_attempt_finds_all_that_was_whole_and_goes_on(
    tmp_path_factory: pytest.TempPathFactory, cut: int, garbage: bytes
) -> None:
    directory = tmp_path_factory.mktemp("spool")
    first = opened(directory)
    for step in range(1, 21):
        first.append(steps(step, step))
    abandon(first)
    [name] = segment_files(directory)
    size = (directory / name).stat().st_size
    os.truncate(directory / name, size - cut % size)
    with (directory / name).open("ab") as file:
        file.write(garbage)

    second = opened(directory)
    kept = len(content(second))
    second.append(steps(100, 100))
    abandon(second)
    third = opened(directory)

    assert content(third) == [*(steps(step, step) for step in range(1, kept + 1)), steps(100, 100)]
    third.done(third.first(100))
    third.close()
    assert not directory.exists()


def test_delivered_segments_are_deleted_while_training_goes_on(tmp_path: Path) -> None:
    spool = opened(tmp_path / "spool")
    for start in range(1, 60_001, 1_000):
        spool.append(steps(start, start + 999))
    assert len(segment_files(tmp_path / "spool")) > 2
    assert spool.points == 60_000

    spool.done(spool.first(60))
    assert len(segment_files(tmp_path / "spool")) == 1
    assert (spool.points, spool.disk_bytes) == (0, 0)
    spool.append(steps(1, 1))

    assert content(spool) == [steps(1, 1)]
    [name] = segment_files(tmp_path / "spool")
    assert (tmp_path / "spool" / name).stat().st_size < 200
    spool.close()
    assert segment_files(tmp_path / "spool") == [name], "it waits for the next attempt"


def test_each_node_has_its_own_and_shares_what_missing_nodes_left(tmp_path: Path) -> None:
    for rank in range(4):
        spool = opened(tmp_path, rank, 4)
        spool.append(steps(rank + 1, rank + 1))
        abandon(spool)

    two_nodes = [opened(tmp_path, rank, 2) for rank in range(2)]

    assert [content(spool) for spool in two_nodes] == [
        [steps(1, 1), steps(3, 3)],
        [steps(2, 2), steps(4, 4)],
    ]


def test_a_directory_in_use_or_unusable_is_replaced_by_a_temporary_one(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    first = opened(tmp_path / "spool")
    (tmp_path / "file").write_text("")

    for directory in (tmp_path / "spool", tmp_path / "file"):
        spool = opened(directory)
        spool.append(steps(1, 2))
        assert content(spool) == [steps(1, 2)]
        assert not spool.survives
        spool.close()

    assert "is in use by another process" in caplog.text
    assert "no spool in" in caplog.text
    first.close()


def test_a_full_disk_costs_nothing_while_memory_lasts(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """For one write /dev/full is the file under way."""
    caplog.set_level(logging.INFO)
    spool = opened(tmp_path / "spool")
    spool.append(steps(1, 1))
    assert spool._active is not None
    spool._active._file.close()
    spool._active._file = io.FileIO("/dev/full", "wb")

    spool.append(steps(2, 2))
    spool.append(steps(3, 3))

    assert content(spool) == [steps(1, 1), steps(2, 2), steps(3, 3)]
    assert (spool.points, spool.kept_points) == (3, 2)
    assert os.strerror(errno.ENOSPC) in caplog.text
    assert "the spool can be written again" in caplog.messages
    spool.done(spool.first(3))
    spool.close()


def test_where_the_spool_of_a_job_is(tmp_path: Path) -> None:
    contract = Contract(uid="u-1", checkpoint_dir=tmp_path)
    assert Spool.of(contract).directory == tmp_path / "mlflow-spool" / "u-1"
    assert Spool.of(Contract(uid="u-1")).directory is None


@pytest.mark.parametrize(
    ("parts", "count", "whole"),
    [
        ([steps(1, 10), steps(11, 20)], 2, steps(1, 20)),
        ([steps(1, 600), steps(601, 1_000), steps(1, 1)], 2, steps(1, 1_000)),
        ([steps(1, 600), steps(601, 1_001)], 1, steps(1, 600)),
        ([Batch((point(1),)), Batch((point(1, "other"),))], 1, Batch((point(1),))),
        (
            [Batch(params=(("a", "1"),)), Batch((point(1),)), Batch(tags=(("a", "2"),))],
            3,
            Batch((point(1),), (("a", "1"),), (("a", "2"),)),
        ),
        ([Batch(tags=(("a", "1"),)), Batch(tags=(("a", "2"),))], 1, Batch(tags=(("a", "1"),))),
    ],
)
def test_calls_are_as_full_as_mlflow_allows(parts: list[Batch], count: int, whole: Batch) -> None:
    assert join(parts) == (count, whole)


@given(st.text(st.characters() | st.sampled_from("/."), max_size=600))
def test_every_key_fits(key: str) -> None:
    fitted = fit_key(key)
    assert len(fitted) <= 250
    assert fitted.encode().decode() == fitted
    assert validate_param_and_metric_name(fitted)  # type: ignore[no-untyped-call]  # MLflow's
    assert not path_not_unique(fitted)  # type: ignore[no-untyped-call]  # as above
    assert fit_key(fitted) == fitted


def test_long_keys_stay_distinct() -> None:
    assert len({fit_key("k" * 300 + str(number)) for number in range(100)}) == 100
