"""A trace of some steps is kept; nothing about it ends a training."""

import gzip
import json
from pathlib import Path

import pytest
import torch
from trainingjob_trainer.profiling import StepProfiler
from trainingjob_trainer.reading import StepRange


def train(profiler: StepProfiler, first: int, last: int) -> None:
    weights = torch.ones(3)
    for step in range(first, last + 1):
        profiler.before(step)
        weights.exp()
        profiler.after(step)


def calls(file: Path, name: str) -> int:
    with gzip.open(file, "rt") as text:
        return [event.get("name") for event in json.load(text)["traceEvents"]].count(name)


@pytest.mark.parametrize(
    ("first", "last", "expected"), [(1, 9, 3), (5, 9, 2), (1, 5, 2)], ids=["whole", "late", "short"]
)
def test_the_steps_of_the_range_are_in_the_trace(
    tmp_path: Path, first: int, last: int, expected: int
) -> None:
    """Of a training that is resumed later or ends earlier, those that it has."""
    written: list[Path] = []
    profiler = StepProfiler(StepRange(4, 6), torch.device("cpu"), tmp_path / "p", written.append)

    train(profiler, first, last)
    profiler.end()

    assert [file.name for file in written] == ["steps_4-6.json.gz", "steps_4-6.txt"]
    assert calls(written[0], "aten::exp") == expected
    assert "aten::exp" in written[1].read_text()


@pytest.mark.parametrize("steps", [None, StepRange(20, 30)])
def test_without_such_steps_there_is_none(tmp_path: Path, steps: StepRange | None) -> None:
    written: list[Path] = []
    profiler = StepProfiler(steps, torch.device("cpu"), tmp_path, written.append)

    train(profiler, 1, 3)
    profiler.end()

    assert written == list(tmp_path.iterdir()) == []


def test_a_trace_that_cannot_be_written_is_an_error_in_the_log(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "file").touch()
    profiler = StepProfiler(
        StepRange(1, 1), torch.device("cpu"), tmp_path / "file" / "below", lambda _: None
    )

    train(profiler, 1, 2)

    assert "no trace of steps 1:1" in caplog.text
