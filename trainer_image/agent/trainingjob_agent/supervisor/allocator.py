"""What torch holds of a GPU in a process of the script, beside what the driver says of the node.

A GPU looks full to its driver as soon as torch has reserved its memory; what the tensors need of it
is known in the process alone. It is read where the script logs or reports its progress, so that
neither a thread nor a hook of ours runs in the training.
"""

from __future__ import annotations

import functools
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from trainingjob_agent.delivery.batch import Batch
from trainingjob_agent.delivery.outbox import outbox_of_process
from trainingjob_agent.delivery.point import Point
from trainingjob_agent.supervisor.jobs_run import JobsRun, rank_of_process

_EVERY_SECONDS = 10.0
_BYTES = {
    "allocated_bytes.all.current": "torch_allocated_megabytes",
    "allocated_bytes.all.peak": "torch_allocated_peak_megabytes",
    "reserved_bytes.all.current": "torch_reserved_megabytes",
}
_RETRIES = "num_alloc_retries"


@dataclass
class Allocator:
    """Logs it at most every ten seconds. The clock is handed in, in seconds, and so is the log."""

    log: Callable[[dict[str, float]], None]
    clock: Callable[[], float]
    _due_seconds: float = float("-inf")

    def report(self, modules: Mapping[str, Any] = sys.modules) -> None:
        """Log it when it is time for that, and when torch uses a GPU in this process."""
        now = self.clock()
        if now < self._due_seconds:
            return
        cuda = getattr(modules.get("torch"), "cuda", None)
        if cuda is None or not cuda.is_initialized():
            return
        self._due_seconds = now + _EVERY_SECONDS
        self.log(metrics_of(cuda.memory_stats()))


def metrics_of(stats: Mapping[str, float]) -> dict[str, float]:
    """Return what torch.cuda.memory_stats() has of them: 10^6 bytes, and a number of calls.

    Other backends of the allocator (PYTORCH_CUDA_ALLOC_CONF) count less.
    """
    metrics = {name: stats[key] / 1e6 for key, name in _BYTES.items() if key in stats}
    if _RETRIES in stats:
        metrics["torch_allocation_retries"] = stats[_RETRIES]
    return metrics


@functools.lru_cache(maxsize=None)
def allocator_of(job: JobsRun) -> Allocator:
    """Return what reports for this process to the run of the job, each rank under its own name."""
    outbox = outbox_of_process(job.outbox)

    def log(metrics: dict[str, float]) -> None:
        prefix = f"system/rank_{rank_of_process()}_"
        # As with the progress, the step is the time: it grows over all attempts.
        now = time.time_ns() // 1_000_000
        points = tuple(Point(prefix + key, value, now, now) for key, value in metrics.items())
        try:
            outbox.append(Batch(points))
        except OSError as error:
            job.say_once("allocator", f"what torch holds of the GPU cannot be kept: {error}")

    return Allocator(log, time.monotonic)
