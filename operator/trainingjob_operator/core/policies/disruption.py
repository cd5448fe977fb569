"""Attempts that the cluster ended: restarted without being charged to the backoffLimit.

The condition DisruptionTarget is what tells them apart. A pod that the node evicts because it used
more disk than its own limit has the reason Evicted, too, but not the condition: that is a failure.
"""

from trainingjob_operator.core.cause import Cause
from trainingjob_operator.core.observe import JobView, PodView
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


def cause_of(child: JobView, pods: tuple[PodView, ...]) -> Cause | None:
    """The disruption that ended an attempt, if one did.

    One disrupted rank makes the others fail, often before it ends itself, so one is enough.
    """
    disrupted = [pod for pod in pods if pod.disruption and pod.phase != "Succeeded"]
    if disrupted:
        pod = min(disrupted, key=lambda one: one.rank)
        reason = REASONS.get(pod.disruption, Reason.DISRUPTED)
        what = MESSAGES.get(reason, f"was disrupted: {pod.disruption}")
        code = pod.end.exit_code if pod.end else None
        message = f"pod {pod.name} {what}"
        return Cause(reason, message, pod.node or None, pod.rank, code, disrupted=True)
    if child.reason == POD_FAILURE_POLICY:
        return Cause(Reason.DISRUPTED, child.message, disrupted=True)
    return None
