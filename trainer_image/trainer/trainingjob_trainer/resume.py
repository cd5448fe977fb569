"""Which checkpoint a training goes on from: the newest one that all ranks can use."""

import logging
import secrets
from typing import Any

from trainingjob_trainer.checkpoint import CheckpointStore
from trainingjob_trainer.distributed import Ranks

_logger = logging.getLogger(__name__)


class CheckpointMismatchError(ValueError):
    """The checkpoints are of another training."""


def seen_by_all(store: CheckpointStore, rank: int, ranks: Ranks) -> bool:
    """Return whether all ranks have the same directory; without that no checkpoint is complete."""
    mark = ranks.of_first([secrets.randbits(32)])[0]
    file = store.directory / f".seen-{mark}"
    if rank == 0:
        store.directory.mkdir(parents=True, exist_ok=True)
        file.touch()
    ranks.any(False)
    seen = not any(ranks.any(not file.exists()))
    if rank == 0:
        file.unlink()
    return seen


def newest_usable(store: CheckpointStore, rank: int, ranks: Ranks) -> int | None:
    """Return the step of the newest checkpoint that every rank finds whole; None without one.

    What is newer is removed, and said.
    """
    steps = ranks.of_first(store.steps())
    usable = None
    for step in steps:
        problem = store.problem(step, rank)
        if problem is not None:
            _logger.warning("checkpoint of step %d: %s", step, problem)
        if not any(ranks.any(problem is not None)):
            usable = step
            break
    if steps and usable is None:
        _logger.error("no checkpoint in %s can be used: training starts anew", store.directory)
    if rank == 0:
        store.discard_after(-1 if usable is None else usable)
    # Nobody writes before the removal is over.
    ranks.any(False)
    return usable


def check_same_training(saved: dict[str, Any], now: dict[str, Any]) -> None:
    """Compare the setup of a checkpoint with that of this attempt.

    Raises:
        CheckpointMismatchError: it is another task.
    """
    if saved["task"] != now["task"]:
        raise CheckpointMismatchError(
            f"the checkpoints are of task {saved['task']}, not {now['task']}: "
            "use another --checkpoint-dir"
        )
    changed = [f"{key} {saved[key]} → {now[key]}" for key in now if saved.get(key) != now[key]]
    if changed:
        _logger.warning("goes on, but not bit for bit: %s", ", ".join(changed))
