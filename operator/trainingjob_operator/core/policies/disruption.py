"""Attempts that the cluster ended: restarted without being charged to the backoffLimit.

The condition DisruptionTarget identifies them. A pod that the node evicts because it used more disk
than its own limit also has the reason Evicted, but not the condition: that is a failure.
"""

from trainingjob_operator.core.cause import Cause
from trainingjob_operator.core.observe import JobView, PodView
from trainingjob_operator.core.policies import failure
from trainingjob_operator.core.reasons import Reason

# Far more than a long training on spot nodes meets; an end for one that can never run.
LIMIT = 100
# The Job's podFailurePolicy keeps the evidence where the pod itself is gone already.
POD_FAILURE_POLICY = "PodFailurePolicy"
REASONS = {
    "PreemptionByScheduler": Reason.PREEMPTED,
    "EvictionByEvictionAPI": Reason.EVICTED,
    "TerminationByKubelet": Reason.EVICTED,
    "DeletionByTaintManager": Reason.NODE_LOST,
    "DeletionByPodGC": Reason.NODE_LOST,
}
MESSAGES = {
    Reason.PREEMPTED: "made room for a pod of higher priority",
    Reason.EVICTED: "was evicted from its node",
    Reason.NODE_LOST: "lost its node",
}


def cause_of(child: JobView | None, pods: tuple[PodView, ...]) -> Cause | None:
    """The disruption that ended an attempt, if one did.

    One disrupted rank makes the others fail, often before it ends itself, so one is enough.
    """
    disrupted = [pod for pod in pods if pod.disruption and (failure.failed(pod) or not pod.ended)]
    if disrupted:
        pod = min(disrupted, key=lambda one: one.rank)
        reason = REASONS.get(pod.disruption, Reason.DISRUPTED)
        what = MESSAGES.get(reason, f"was disrupted: {pod.disruption}")
        code = pod.end.exit_code if pod.end else None
        message = f"pod {pod.name} {what}"
        return Cause(reason, message, pod.node or None, pod.rank, code, disrupted=True)
    if child is not None and child.reason == POD_FAILURE_POLICY:
        return Cause(Reason.DISRUPTED, child.message, disrupted=True)
    if _was_deleted(child, pods):
        message = "the attempt's Job was deleted before it ended"
        return Cause(Reason.JOB_DELETED, message, disrupted=True)
    return None


def _was_deleted(child: JobView | None, pods: tuple[PodView, ...]) -> bool:
    """Whether the Job was deleted by somebody else, with no failure before that.

    What a program did after that does not count as a failure of the program.
    """
    if any(failure.failed(pod) and not pod.stopped for pod in pods):
        return False
    if child is None or child.deleted_at is None:
        return child is None
    return child.ended_at is None or child.ended_at >= child.deleted_at
