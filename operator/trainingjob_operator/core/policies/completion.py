"""The phase of an attempt, by its pods first: only the trainer's container decides its outcome.

The Job counts whole pods. To the Job, a pod whose sidecar fails after the trainer ended with 0 has
failed, and a pod whose sidecar never ends is not over.
"""

from enum import StrEnum

from trainingjob_operator.api import TrainingJob
from trainingjob_operator.core import gang
from trainingjob_operator.core.observe import JobView, PodView
from trainingjob_operator.core.policies import failure


class Verdict(StrEnum):
    """The phase of an attempt."""

    UNDER_WAY = "UnderWay"
    SUCCEEDED = "Succeeded"
    FAILED = "Failed"


def verdict(
    job: TrainingJob,
    child: JobView | None,
    pods: tuple[PodView, ...],
    gone: tuple[PodView, ...],
) -> Verdict:
    """Judge an attempt by its pods, those gone a moment ago, and its Job.

    FAILED means that a rank has failed; others may still run.
    """
    if any(_succeeded_all(job, some) for some in (pods, _latest(pods, gone))):
        return Verdict.SUCCEEDED
    if child is not None and child.complete:
        return Verdict.FAILED if any(map(failure.failed, pods)) else Verdict.SUCCEEDED
    if child is not None and (child.failed or child.failing):
        return Verdict.FAILED
    if child is not None and child.suspended:
        return Verdict.UNDER_WAY
    if any(failure.failed(pod) and not pod.deleting for pod in pods):
        return Verdict.FAILED
    counted = child.failed_ranks if child is not None else frozenset()
    if counted - _good_ranks(_latest(pods, gone)):
        return Verdict.FAILED
    return Verdict.FAILED if _ended_by_deletion(job, child, pods) else Verdict.UNDER_WAY


def _succeeded_all(job: TrainingJob, pods: tuple[PodView, ...]) -> bool:
    """Whether each rank's trainer ended with 0, and not because somebody stopped it."""
    all_good = len(_good_ranks(pods)) >= job.spec.num_nodes
    return all_good and all(pod.ended for pod in pods)


def _good_ranks(pods: tuple[PodView, ...]) -> frozenset[int]:
    good = (pod for pod in pods if pod.ended and not failure.failed(pod) and not pod.stopped)
    return frozenset(pod.rank for pod in good)


def _latest(pods: tuple[PodView, ...], gone: tuple[PodView, ...]) -> tuple[PodView, ...]:
    """The pods, plus a pod that is gone for each rank that has no other one."""
    there = {pod.rank for pod in pods}
    return (*pods, *(pod for pod in gone if pod.rank not in there))


def _ended_by_deletion(job: TrainingJob, child: JobView | None, pods: tuple[PodView, ...]) -> bool:
    """Whether no pod of a deleted Job is live: the Job creates no other one.

    Without a Job and a pod the attempt may just not have been created.
    """
    if any(pod.live for pod in pods):
        return False
    if child is not None:
        return child.cleared
    return job.status.running_time is not None or gang.all_ended(job, pods)
