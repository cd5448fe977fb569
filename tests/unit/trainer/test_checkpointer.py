"""Checkpoints are written beside the training, which goes on whatever the disk does."""

import shutil
from datetime import date
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from trainingjob_trainer.checkpoint import (
    Checkpointer,
    CheckpointStore,
    checkpoint_duration,
    checkpoint_errors,
)


def checkpointer(directory: Path) -> Checkpointer:
    return Checkpointer(
        CheckpointStore(directory, keep=3), rank=0, world_size=1, every_seconds=1000
    )


def test_training_goes_on_while_the_copy_is_written(tmp_path: Path) -> None:
    saving = checkpointer(tmp_path)
    weight = torch.zeros(20_000_000)

    saving.save(1, own={}, shared={"weight": weight})
    assert saving.busy
    weight += 1
    saving.save(2, own={}, shared={"weight": weight})
    weight += 1
    saving.wait()

    values = [saving.store.read(step, rank=0)[0]["weight"].unique().tolist() for step in (1, 2)]
    assert values == [[0.0], [1.0]]
    assert not saving.busy


def test_a_step_has_one_checkpoint_which_is_never_written_again(tmp_path: Path) -> None:
    saving = checkpointer(tmp_path)
    saving.save(1, own={}, shared={"model": 1})

    saving.save(1, own={}, shared={"model": 2}, best={"epoch": 1})
    saving.wait()

    assert saving.store.read(1, rank=0)[0] == {"model": 1}
    assert saving.store.read_best() == {"epoch": 1, "model": 2}


def test_a_disk_that_takes_nothing_does_not_stop_training(tmp_path: Path) -> None:
    directory = tmp_path / "checkpoints"
    directory.write_text("a file where a directory should be")
    saving = checkpointer(directory)
    errors = checkpoint_errors._value.get()

    saving.save(1, own={}, shared={})
    saving.wait()

    assert checkpoint_errors._value.get() == errors + 1
    assert saving.last_step is None
    directory.unlink()
    saving.save(1, own={}, shared={})
    saving.wait()
    assert saving.last_step == 1


def test_numbers_of_numpy_are_read_as_those_of_python(tmp_path: Path) -> None:
    """What `np.cos` in a LambdaLR makes of the learning rate."""
    saving = checkpointer(tmp_path)
    rates = {"lr": np.float64(0.1), "last": (np.float32(0.5), [np.int64(3), np.bool_(True)])}

    saving.save(1, own=rates, shared={"model": rates}, best={"value": np.float64(0.1)})
    saving.wait()

    read = {"lr": 0.1, "last": (0.5, [3, True])}
    assert saving.store.read(1, rank=0) == ({"model": read}, read)
    assert saving.store.read_best() == {"value": 0.1, "model": read}


@pytest.mark.parametrize("value", [date(2026, 1, 1), np.zeros(2), lambda: 0])
def test_a_state_that_no_attempt_could_read_ends_training_at_the_first_checkpoint(
    tmp_path: Path, value: object
) -> None:
    saving = checkpointer(tmp_path)
    kind = type(value)
    message = rf"shared/scheduler/dates/1 in it, a {kind.__module__}.{kind.__qualname__}: "

    with pytest.raises(TypeError, match=message):
        saving.save(1, own={}, shared={"scheduler": {"step": 1, "dates": ["today", value]}})

    assert saving.store.steps() == []


class SmallVolume(CheckpointStore):
    """Has room for so many checkpoints; of one more there is a half when it is full."""

    def __init__(self, directory: Path, room: int, monkeypatch: pytest.MonkeyPatch) -> None:
        super().__init__(directory, keep=3)
        self._room = room
        monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=self._free()))

    def write(self, step: int, *args: Any, **options: Any) -> None:
        super().write(step, *args, **options)
        if self._free() < 0:
            (self._of(step) / "rank_00000.json").unlink()
            raise RuntimeError("[enforce fail at inline_container.cc:671] unexpected pos 704")

    def _free(self) -> int:
        steps = self.steps()
        return (self._room - len(steps)) * self._bytes(steps[-1])


@pytest.mark.parametrize(
    ("room", "written"),
    [
        (4, [[1], [2, 1], [3, 2, 1], [4, 3, 2], [5, 4, 3], [6, 5, 4]]),
        (3, [[1], [2, 1], [3, 2, 1], [3, 2], [5, 3], [6, 5]]),
        (2, [[1], [2, 1], [2], [4], [5], [6]]),
        (1, [[1], [1], [1], [1], [1], [1]]),
    ],
)
def test_on_a_full_volume_fewer_are_kept_and_nothing_is_left_of_the_failed_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, room: int, written: list[list[int]]
) -> None:
    store = SmallVolume(tmp_path, room, monkeypatch)
    saving = Checkpointer(store, rank=0, world_size=1, every_seconds=0)

    found = []
    for step in range(1, 7):
        saving.save(step, own={}, shared={"weight": torch.zeros(1000)})
        saving.wait()
        found.append(store.steps())

    assert found == written


def test_a_checkpoint_that_is_there_outlasts_a_best_model_that_cannot_be_written(
    tmp_path: Path,
) -> None:
    saving = checkpointer(tmp_path)
    saving.save(1, own={}, shared={"model": 1})
    saving.wait()
    (tmp_path / "best").write_text("a file where a directory should be")

    saving.save(1, own={}, shared={"model": 1}, best={"epoch": 1})
    saving.wait()

    assert saving.store.problem(1, rank=0) is None


def test_the_time_of_a_checkpoint_is_measured(tmp_path: Path) -> None:
    saving = checkpointer(tmp_path)
    count = checkpoints_timed()

    saving.save(1, own={}, shared={"weight": torch.zeros(2)})
    saving.wait()

    assert checkpoints_timed() == count + 1


def checkpoints_timed() -> float:
    [family] = checkpoint_duration.collect()
    return next(s.value for s in family.samples if s.name.endswith("_count"))
