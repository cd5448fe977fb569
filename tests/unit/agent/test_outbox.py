"""What processes of a script append is collected once, in order, whatever becomes of them."""

import multiprocessing
import os
import threading
from pathlib import Path

import pytest
from trainingjob_agent.delivery import outbox
from trainingjob_agent.delivery.batch import Batch
from trainingjob_agent.delivery.outbox import Intake, Outbox, outbox_of_process
from trainingjob_agent.delivery.point import Point, Subject
from trainingjob_agent.delivery.records import encode_record


def point(step: int, key: str = "loss") -> Batch:
    return Batch((Point(key, 1 / (step + 1), 1_000 + step, step),))


def points(first: int, last: int, key: str = "loss") -> list[Batch]:
    return [point(step, key) for step in range(first, last + 1)]


def append(directory: Path, batches: list[Batch]) -> None:
    appended = Outbox(directory)
    for batch in batches:
        appended.append(batch)


def test_what_is_appended_is_taken_once_and_in_order(tmp_path: Path) -> None:
    written, intake = Outbox(tmp_path), Intake(tmp_path)
    everything = Batch(
        (Point("a", 0.5, 3, 2**40, None, Subject("m-1", None, None)),),
        (("lr", "0.1"),),
        (("note", "é\n"),),
    )

    written.append(point(1))
    written.append(everything)
    first = list(intake.take())
    written.append(point(2))

    assert first == [point(1), everything]
    assert list(intake.take()) == [point(2)]
    assert list(intake.take()) == []


def test_a_process_that_is_killed_leaves_all_that_it_appended(tmp_path: Path) -> None:
    intake = Intake(tmp_path)
    process = multiprocessing.get_context("spawn").Process(
        target=append_and_die, args=(tmp_path, points(1, 10))
    )
    process.start()
    process.join(120)

    assert list(intake.take()) == points(1, 10)
    assert list(tmp_path.iterdir()) == [], "nobody appends to it any more"


def append_and_die(directory: Path, batches: list[Batch]) -> None:
    append(directory, batches)
    os.kill(os.getpid(), 9)


def test_all_that_logs_in_a_process_shares_its_outbox(tmp_path: Path) -> None:
    """MLflow builds a store for each spelling of an address, and progress goes through none."""
    one, other, intake = outbox_of_process(tmp_path), outbox_of_process(tmp_path), Intake(tmp_path)
    taken: list[Batch] = []
    for step in range(1, 9):
        (one if step % 2 else other).append(point(step))
        taken += intake.take()

    assert taken == points(1, 8)


def test_a_forked_process_has_files_of_its_own(tmp_path: Path) -> None:
    written, intake = Outbox(tmp_path), Intake(tmp_path)
    written.append(point(1, "parent"))
    child = os.fork()
    if child == 0:
        for batch in points(1, 5, "child"):
            written.append(batch)
        os._exit(0)
    os.waitpid(child, 0)
    written.append(point(2, "parent"))

    taken = list(intake.take())

    assert [one for one in taken if one.points[0].key == "parent"] == points(1, 2, "parent")
    assert [one for one in taken if one.points[0].key == "child"] == points(1, 5, "child")


def test_files_that_are_full_and_taken_are_deleted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(outbox, "_SEGMENT_BYTES", 200)
    written, intake = Outbox(tmp_path), Intake(tmp_path)
    for batch in points(1, 100):
        written.append(batch)
    assert len(list(tmp_path.iterdir())) > 10

    assert list(intake.take()) == points(1, 100)
    assert len(list(tmp_path.iterdir())) == 1, "the one under way"
    written.append(point(101))
    assert list(intake.take()) == [point(101)]


def test_nothing_is_missed_or_taken_twice_while_threads_append(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(outbox, "_SEGMENT_BYTES", 2_000)
    written, intake = Outbox(tmp_path), Intake(tmp_path)

    def log(key: str) -> None:
        for batch in points(1, 200, key):
            written.append(batch)

    threads = [threading.Thread(target=log, args=(key,)) for key in "abc"]
    for thread in threads:
        thread.start()
    taken: list[Batch] = []
    while any(thread.is_alive() for thread in threads):
        taken += intake.take()
    taken += intake.take()

    for key in "abc":
        assert [one for one in taken if one.points[0].key == key] == points(1, 200, key)


def test_a_torn_record_ends_its_file_and_nothing_else(tmp_path: Path) -> None:
    written, intake = Outbox(tmp_path), Intake(tmp_path)
    written.append(point(1))
    assert written._segment is not None
    written._segment._file.write(b"half of a rec")
    written._close()
    written.append(point(2))

    assert list(intake.take()) == [point(1), point(2)]
    assert len(list(tmp_path.iterdir())) == 1


def test_a_record_that_cannot_be_read_costs_nothing_but_itself(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    written, intake = Outbox(tmp_path), Intake(tmp_path)
    written.append(point(1))
    assert written._segment is not None
    for body in (b"[1]", b"7", b"no JSON"):
        written._segment.append(encode_record(body, 3))
    written.append(point(2))

    assert list(intake.take()) == [point(1), point(2)]
    assert caplog.messages == ["3 metric points are lost"] * 3


def test_an_outbox_that_nobody_empties_is_full_at_some_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(outbox, "_SEGMENT_BYTES", 100)
    monkeypatch.setattr(outbox, "_MAX_BYTES", 1_000)
    intake = Intake(tmp_path)

    with pytest.raises(OSError, match="too much waits to be collected"):
        append(tmp_path, points(1, 100))
    taken = list(intake.take())
    append(tmp_path, [point(200)])

    assert taken == points(1, len(taken))
    assert list(intake.take()) == [point(200)]
