"""How far the training of a script is, for the status of its job."""

from __future__ import annotations

import functools
import time
from collections.abc import Callable
from dataclasses import dataclass

from trainingjob_agent.delivery.batch import Batch
from trainingjob_agent.delivery.outbox import outbox_of_process
from trainingjob_agent.delivery.point import Point
from trainingjob_agent.supervisor.allocator import allocator_of
from trainingjob_agent.supervisor.jobs_run import JobsRun, rank_of_process

_EVERY_SECONDS = 5.0


@dataclass
class Progress:
    """Turns steps into metrics. Pure: the clock is handed in, in seconds, and so is the log."""

    log: Callable[[dict[str, float]], None]
    clock: Callable[[], float]
    _began: tuple[float, float] | None = None
    _last_step: int = -1
    _due_seconds: float = float("-inf")
    _complete: bool = False

    def report(self, step: int, done: float | None = None, epoch: int | None = None) -> None:
        """Take one step; log it when it is time for that, or when it is the last.

        Args:
            step: steps done.
            done: part of the training, 0…1; None where its length is not known.
            epoch: the epoch under way, from 1.
        """
        now, step = self.clock(), int(step)
        if step < self._last_step:  # another training in the same process
            self._began, self._due_seconds, self._complete = None, float("-inf"), False
        self._last_step = step
        if done is not None:
            done = min(max(float(done), 0.0), 1.0)
            self._began = self._began or (now, done)
        completes = done == 1.0 and not self._complete
        if now < self._due_seconds and not completes:
            return
        self._due_seconds = now + _EVERY_SECONDS
        self._complete |= completes
        self.log(self._metrics(step, done, epoch, now))

    def end(self, step: int) -> None:
        """Take the last step, also of a training that ends early."""
        self.report(step, 1.0)

    def go_on(self) -> None:
        """Say that the training goes on without a step, as in a validation: it has not stalled."""
        now = self.clock()
        if self._last_step >= 0 and now >= self._due_seconds:
            self._due_seconds = now + _EVERY_SECONDS
            self.log({"progress/step": self._last_step})

    def _metrics(
        self, step: int, done: float | None, epoch: int | None, now: float
    ) -> dict[str, float]:
        metrics: dict[str, float] = {"progress/step": step}
        if epoch is not None:
            metrics["progress/epoch"] = int(epoch)
        if done is None or self._began is None:
            return metrics
        metrics["progress/percentage"] = round(100 * done, 2)
        began, before = self._began
        if done > before:
            left = (now - began) / (done - before) * (1 - done)
            metrics["progress/estimated_remaining_seconds"] = round(left, 1)
        return metrics


@functools.lru_cache(maxsize=None)
def progress_of_process() -> Progress | None:
    """Return where this process reports to; None outside of `trainingjob-exec`."""
    job = JobsRun.from_environment()
    if job is None:
        return None
    outbox = outbox_of_process(job.outbox)

    def log(metrics: dict[str, float]) -> None:
        allocator_of(job).report()
        if rank_of_process() > 0:
            return
        # The step of these points is their time: it grows over all attempts, so that MLflow's
        # latest value is the newest, also where an attempt begins at step 1 again.
        now = time.time_ns() // 1_000_000
        points = tuple(Point(key, value, now, now) for key, value in metrics.items())
        try:
            outbox.append(Batch(points))
        except OSError as error:
            job.say_once("progress", f"the progress of the script cannot be kept: {error}")

    return Progress(log, time.monotonic)
