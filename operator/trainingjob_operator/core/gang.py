"""The pods of one attempt taken together: when all ranks started, and when they ended."""

from datetime import datetime

from trainingjob_operator.api import TrainingJob
from trainingjob_operator.core.observe import JobView, PodView


def all_started(job: TrainingJob, pods: tuple[PodView, ...]) -> bool:
    """Whether the pods of all ranks have started, now or earlier in the attempt."""
    started = {pod.rank for pod in pods if pod.started and not pod.deleting}
    return job.status.running_time is not None or len(started) >= job.spec.num_nodes


def all_ended(job: TrainingJob, pods: tuple[PodView, ...]) -> bool:
    """Whether the trainers of all ranks have ended; the Job controller says so a second later."""
    ended = {pod.rank for pod in pods if pod.ended}
    return len(ended) >= job.spec.num_nodes and all(pod.ended for pod in pods)


def ended_at(child: JobView | None, pods: tuple[PodView, ...]) -> datetime | None:
    """When the attempt ended: according to its Job, or else when the last trainer ended."""
    if child is not None and child.ended_at is not None:
        return child.ended_at
    return max(
        (pod.end.finished_at for pod in pods if pod.end and pod.end.finished_at), default=None
    )


def running_time(pods: tuple[PodView, ...]) -> datetime | None:
    """When the last rank started."""
    return max((pod.started_at for pod in pods if pod.started_at is not None), default=None)
