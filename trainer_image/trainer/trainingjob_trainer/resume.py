"""Which checkpoint a training goes on from: the newest one that all ranks can use."""

import logging
import secrets
from collections.abc import Mapping
from typing import Any

from trainingjob_trainer.checkpoint import (
    Checkpointer,
    CheckpointStore,
    DirectoryInUseError,
    split,
)
from trainingjob_trainer.distributed import Ranks
from trainingjob_trainer.state import TrainingState
from trainingjob_trainer.surroundings import Place

_OF_THE_BEGINNING = ("initial_weights",)
_OF_THE_ORDER = ("world_size", "batch_size", "accumulate", "seed")

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


def take_directory(checkpointer: Checkpointer, ranks: Ranks) -> None:
    """Have the directory for this training alone. All ranks come here.

    Raises:
        DirectoryInUseError: another training goes on there.
        OSError: it cannot be written to.
    """
    problem: Exception | None = None
    try:
        if checkpointer.lease is not None:
            checkpointer.lease.acquire()
    except (DirectoryInUseError, OSError) as error:
        problem = error
    problem = ranks.of_first(problem)
    if problem is not None:
        raise problem


def newest_usable(store: CheckpointStore, place: Place, ranks: Ranks) -> int | None:
    """Return the step of the newest checkpoint that every rank finds whole; None without one.

    What is newer is removed, and said.
    """
    steps = ranks.of_first(store.steps())
    usable = None
    for step in steps:
        problem = store.problem(step, place.rank, place.world_size)
        if problem is not None:
            _logger.warning("checkpoint of step %d: %s", step, problem)
        if not any(ranks.any(problem is not None)):
            usable = step
            break
    if steps and usable is None:
        _logger.error("no checkpoint in %s can be used: training starts anew", store.directory)
    if place.rank == 0:
        for one in (store, store.best):
            one.discard_after(-1 if usable is None else usable)
    # Nobody writes before the removal is over.
    ranks.any(False)
    return usable


def go_on(checkpointer: Checkpointer, state: TrainingState, place: Place, ranks: Ranks) -> bool:
    """Load the newest checkpoint that all ranks can use; return whether there is one.

    Raises:
        CheckpointMismatchError: it is of another training.
    """
    store = checkpointer.store
    step = newest_usable(store, place, ranks)
    if step is None:
        return False
    state.setup.load_state_dict(store.about(step)["setup"])
    _, into = split(state.shared_states())
    state.load(*store.read(step, place.rank, into))
    checkpointer.last_step = step
    return True


class Setup:
    """What a training is of; the options may be others in another attempt, which is said."""

    def __init__(
        self,
        task: str,
        options: Mapping[str, object],
        job: Mapping[str, str | None] | None = None,
        *,
        adopt: bool = False,
    ) -> None:
        """Prepare; checkpoints of another `job` (name, uid) are taken only to `adopt` them."""
        self._task = task
        self._job = dict(job or {})
        self._adopt = adopt
        self._options = {name: str(one) for name, one in options.items()}

    def state_dict(self) -> dict[str, Any]:
        """Return what a checkpoint has to hold."""
        return {"task": self._task, "options": self._options, "job": self._job}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Compare the setup of a checkpoint with that of now.

        Raises:
            CheckpointMismatchError: it is another task or job, or its optimizer is
                kept in another way.
        """
        self._check_job(state_dict["job"])
        then, now = state_dict["options"], self._options
        changed = {
            name: f"{name} {then.get(name)} → {now.get(name)}"
            for name in {**then, **now}
            if then.get(name) != now.get(name)
        }
        if state_dict["task"] != self._task:
            raise _mismatch("task", state_dict["task"], self._task)
        if "parallel" in changed:
            raise _mismatch("--parallel", then["parallel"], now["parallel"])
        late = [changed.pop(name) for name in _OF_THE_BEGINNING if name in changed]
        if late:
            _logger.warning("not used, as training goes on from a checkpoint: %s", ", ".join(late))
        inexact = [changed.pop(name) for name in _OF_THE_ORDER if name in changed]
        if inexact:
            _logger.warning("goes on, but not bit for bit: %s", ", ".join(inexact))
        if changed:
            _logger.warning("used from now on: %s", ", ".join(changed.values()))

    def _check_job(self, then: Mapping[str, str | None]) -> None:
        """Outside of a cluster there is no uid, and any directory is one's own.

        A TrainingJob that was deleted and created again under its name goes on: it names the claim
        of its checkpoints for that (spec.checkpoint.claimName).
        """
        before, now = then.get("uid"), self._job.get("uid")
        if before is None or now is None or before == now:
            return
        other = f"TrainingJob {then.get('name')} ({before})"
        if not self._adopt and then.get("name") != self._job.get("name"):
            raise CheckpointMismatchError(
                f"the checkpoints are of {other}, another job: use another directory, or go on "
                "from them by --adopt-checkpoints"
            )
        _logger.warning("goes on from the checkpoints of %s, another job", other)


def _mismatch(what: str, then: object, now: object) -> CheckpointMismatchError:
    return CheckpointMismatchError(
        f"the checkpoints are of {what} {then}, not {now}: use another --checkpoint-dir"
    )
