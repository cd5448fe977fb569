"""When a checkpoint is taken, and who writes it: a thread beside the training."""

import logging
import time
from collections.abc import Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import torch
from prometheus_client import Counter, Histogram
from torch import distributed
from torch.distributed import ProcessGroup

from trainingjob_trainer.checkpoint.lease import DirectoryInUseError, Lease
from trainingjob_trainer.checkpoint.readable import check_readable
from trainingjob_trainer.checkpoint.shares import share_of, split
from trainingjob_trainer.checkpoint.snapshot import Snapshot
from trainingjob_trainer.checkpoint.store import CheckpointStore, Part

checkpoint_errors = Counter(
    "trainingjob_checkpoint_errors", "Checkpoints that could not be written", registry=None
)
checkpoint_duration = Histogram(
    "trainingjob_checkpoint_duration_seconds",
    "Time to write a checkpoint, beside the training",
    buckets=(0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0, 600.0),
    registry=None,
)

_logger = logging.getLogger(__name__)


class Checkpointer:
    """Takes the checkpoints of one rank. On the step path there is a copy in memory, no disk.

    `group` has all ranks, and is for the writing threads alone; None: this rank is the only one.
    `lease` is that of the directory, on rank 0; None: nobody else knows of it.
    """

    def __init__(
        self,
        store: CheckpointStore,
        *,
        rank: int,
        world_size: int,
        every_seconds: float,
        group: ProcessGroup | None = None,
        lease: Lease | None = None,
    ) -> None:
        self.store = store
        self.lease = lease
        self._rank = rank
        self._world_size = world_size
        self._group = group
        self._every_seconds = every_seconds
        self._snapshot = Snapshot()
        self._checked = False
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="checkpoint")
        self._writing: Future[None] | None = None
        self._last_seconds = time.monotonic()
        self.last_step: int | None = None
        """Of the newest checkpoint on the disk."""

    @property
    def due(self) -> bool:
        """Whether the last checkpoint is old enough."""
        return time.monotonic() - self._last_seconds >= self._every_seconds

    @property
    def busy(self) -> bool:
        """Whether the last checkpoint is still being written: there is memory for one only."""
        return self._writing is not None and not self._writing.done()

    @property
    def taken(self) -> DirectoryInUseError | None:
        """What another training means for this one that has taken the directory; on rank 0."""
        return self.lease.taken if self.lease else None

    def release(self) -> None:
        """Leave the directory to others; nothing is read or written any more."""
        if self.lease:
            self.lease.release()

    def free(self) -> None:
        """Let go of the copies in memory, which are on the disk; the next one is made anew."""
        self.wait()
        self._snapshot = Snapshot()
        self._writing = None

    def save(
        self,
        step: int,
        own: Mapping[str, Any],
        shared: Mapping[str, Any],
        best: Mapping[str, Any] | None = None,
    ) -> None:
        """Copy the states and write them in the background; first waits for the last writing.

        All ranks come here for the same steps. One that has its checkpoint keeps it: to write over
        it could only lose it.

        Args:
            step: names the checkpoint.
            own: of this rank.
            shared: by all ranks, `model` among it; each rank copies and writes its share.
            best: says why this model is the best so far, if it is; it is written beside.

        Raises:
            TypeError: a state holds what no attempt could read; found by the first checkpoint.
        """
        self.wait()
        first = self._rank == 0
        skeleton, tensors = split(shared)
        copied = self._snapshot.take(
            {
                "own": own,
                "skeleton": skeleton if first else None,
                "tensors": share_of(tensors, self._rank, self._world_size),
                "best": best,
            }
        )
        if not self._checked:
            # Else nobody knew before a restart, which would fail, and so would all after it.
            check_readable(copied["own"], "own")
            check_readable(copied["skeleton"], "shared")
            self._checked = True
        new = step != self.last_step
        about = copied.pop("best")
        part = Part(**copied)
        self._writing = self._thread.submit(
            self._write,
            step,
            part if new else None,
            None if about is None else _model_alone(part, about),
        )
        self._last_seconds = time.monotonic()

    def wait(self) -> None:
        """Wait until the last checkpoint is on the disk, or could not be written."""
        if self._writing is not None:
            self._writing.result()

    def _write(self, step: int, part: Part | None, best: Part | None) -> None:
        began = time.monotonic()
        # The best model first: a checkpoint that speaks of it must find it.
        if best is not None and not self._done_by_all(self.store.best, step, best):
            return
        if part is not None and not self._done_by_all(self.store, step, part):
            return
        self.last_step = step
        seconds = time.monotonic() - began
        checkpoint_duration.observe(seconds)
        _logger.info("checkpoint of step %d in %.2f s", step, seconds)
        if self._rank == 0:
            self.store.prune()
            self.store.best.prune()

    def _done_by_all(self, store: CheckpointStore, step: int, part: Part) -> bool:
        """Write, and return whether every rank did. So all know the same of each checkpoint."""
        done = torch.zeros(1)
        try:
            store.write(step, part, rank=self._rank, world_size=self._world_size, group=self._group)
            done += 1
        except Exception:
            _logger.exception("no checkpoint of step %d", step)
        if self._group is not None:
            own = bool(done)
            try:
                distributed.all_reduce(done, distributed.ReduceOp.MIN, group=self._group)
            except RuntimeError as error:
                _logger.error("no checkpoint of step %d: a rank is gone: %s", step, error)  # noqa: TRY400 - the message says it all
                checkpoint_errors.inc()
                # It may be whole for all that: what is there is left to the next attempt.
                return False
            if own and not done:
                _logger.error("no checkpoint of step %d: another rank could not write", step)
        if not done:
            checkpoint_errors.inc()
            if self._rank == 0:
                self._clean_up(store, step)
        return bool(done)

    def _clean_up(self, store: CheckpointStore, step: int) -> None:
        try:
            store.clean_up(step)
        except OSError:
            _logger.exception("what there is of the checkpoint of step %d stays", step)


def _model_alone(part: Part, about: Mapping[str, Any]) -> Part:
    """Return what of a part is the model's, with what is said about it."""
    skeleton = None if part.skeleton is None else {**about, "model": part.skeleton["model"]}
    tensors = {path: one for path, one in part.tensors.items() if path.startswith("/model/")}
    return Part({}, skeleton, tensors)
