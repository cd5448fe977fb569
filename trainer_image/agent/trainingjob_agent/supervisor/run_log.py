"""What a process of the script logs to the job's run, made fit for MLflow and for several ranks."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from trainingjob_agent.delivery.batch import Batch
from trainingjob_agent.delivery.bundles import STAND_IN
from trainingjob_agent.delivery.outbox import outbox_of_process
from trainingjob_agent.delivery.point import Point, Subject
from trainingjob_agent.supervisor.allocator import allocator_of
from trainingjob_agent.supervisor.jobs_run import (
    EVERY_RANK,
    JobsRun,
    rank_of_process,
)

_INT64 = range(-(2**63), 2**63)
_SYSTEM_METRICS = "system/"
_MLFLOWS_TAGS = "mlflow."
_SHOWN_CHARACTERS = 100


class RunLog:
    """Puts into the outbox what MLflow's client hands to its store; nothing of it waits."""

    def __init__(self, job: JobsRun) -> None:
        self._job = job
        self._outbox = outbox_of_process(job.outbox)

    def log(self, metrics: Sequence[Any], params: Sequence[Any], tags: Sequence[Any]) -> None:
        """Log entities of MLflow (Metric, Param, RunTag).

        Raises:
            OSError: the disk does not take them.
        """
        batch = Batch(
            tuple(self._points(metrics)),
            tuple((str(param.key), str(param.value)) for param in params),
            tuple((str(tag.key), str(tag.value)) for tag in tags),
        )
        rank = rank_of_process()
        if rank > 0 and len(batch):
            batch = self._of_other_rank(batch, rank)
        if len(batch):
            self._outbox.append(batch)
        allocator_of(self._job).report()

    def _points(self, metrics: Iterable[Any]) -> Iterable[Point]:
        for metric in metrics:
            point = _point(metric)
            if point is None:
                shown = f"{metric.key}={metric.value} at step {metric.step}"[:_SHOWN_CHARACTERS]
                text = f"MLflow cannot take {shown}: left out, and so are others of its kind"
                self._job.say_once("left-out", text)
            elif point.key.startswith(_SYSTEM_METRICS):
                self._job.say_once(
                    "system-metrics",
                    f"{_SYSTEM_METRICS}* of the job's run is written by its monitor alone",
                )
            else:
                yield point

    def _of_other_rank(self, batch: Batch, rank: int) -> Batch:
        """Return what is logged of another rank than 0: all of it under a prefix, or nothing."""
        prefix = f"rank_{rank}/"
        if not self._job.every_rank:
            self._job.say_once(
                "ranks",
                f"rank 0 alone logs to the job's run, what rank {rank} logs is left out; "
                f"{EVERY_RANK}=true keeps it under {prefix}",
            )
            return Batch()
        return Batch(
            tuple(point._replace(key=prefix + point.key) for point in batch.points),
            tuple((prefix + key, value) for key, value in batch.params),
            tuple(
                (prefix + key, value)
                for key, value in batch.tags
                if not key.startswith(_MLFLOWS_TAGS)
            ),
        )


def _point(metric: Any) -> Point | None:
    """Return a metric as a point; None if one of its numbers is none that MLflow could keep."""
    try:
        value = float(metric.value)
        moment, step = int(metric.timestamp), int(metric.step)
    except (TypeError, ValueError, OverflowError):
        return None
    if moment not in _INT64 or step not in _INT64:
        return None
    # MLflow before 3 has no such attributes.
    subject = Subject(*(getattr(metric, name, None) for name in Subject._fields))
    if (subject.model_id or "").startswith(STAND_IN):
        subject = subject._replace(model_id=None)  # of which the server will never know
    return Point(str(metric.key), value, moment, step, None, subject if any(subject) else None)
