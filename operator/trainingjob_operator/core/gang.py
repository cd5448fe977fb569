"""What the pods of one attempt tell together: when all ranks have started, and how they ended."""

from dataclasses import replace
from datetime import datetime

from trainingjob_operator.api import TrainingJob
from trainingjob_operator.core.observe import JobView, PodView


def all_started(job: TrainingJob, pods: tuple[PodView, ...]) -> bool:
    """Whether the pods of all ranks have started, now or earlier in the attempt."""
    started = {pod.rank for pod in pods if pod.started and not pod.deleting}
    return job.status.running_time is not None or len(started) >= job.spec.num_nodes


def all_ended(job: TrainingJob, pods: tuple[PodView, ...]) -> bool:
    """Whether the pods of all ranks have ended; the Job controller says so a second later."""
    ended = {pod.rank for pod in pods if not pod.live}
    return len(ended) >= job.spec.num_nodes and not any(pod.live for pod in pods)


def ended_by_themselves(job: TrainingJob, child: JobView, pods: tuple[PodView, ...]) -> bool:
    """Whether the Job's end follows from its pods alone.

    Not so where somebody stops it: a suspended Job has not failed though its pods were ended.
    """
    stopped = child.suspended or child.deleting or any(pod.deleting for pod in pods)
    return not stopped and all_ended(job, pods)


def any_failed(pods: tuple[PodView, ...]) -> bool:
    """Whether a pod has failed."""
    return any(pod.failed for pod in pods)


def with_end(child: JobView, pods: tuple[PodView, ...]) -> JobView:
    """The Job with the time of its end, from its pods where it does not tell itself yet."""
    ends = [pod.end.finished_at for pod in pods if pod.end and pod.end.finished_at]
    return child if child.ended_at or not ends else replace(child, ended_at=max(ends))


def running_time(pods: tuple[PodView, ...]) -> datetime | None:
    """When the last rank started."""
    return max((pod.started_at for pod in pods if pod.started_at is not None), default=None)
