"""The plan of a running job whose steps are watched: the condition Stalled, the next reconcile."""

from dataclasses import replace
from datetime import timedelta

from trainingjob_operator.api import StallPolicy
from trainingjob_operator.core import conditions
from trainingjob_operator.core.conditions import NewCondition
from trainingjob_operator.core.context import Context
from trainingjob_operator.core.intent import EventIntent, Plan
from trainingjob_operator.core.plans import status
from trainingjob_operator.core.policies import stall
from trainingjob_operator.core.reasons import Reason

# Seconds until the next reconcile while waiting for an answer from MLflow.
RECHECK = 5.0
STEPPING = "Stepping"
NO_METRICS = "NoProgressMetrics"
NO_METRICS_MESSAGE = (
    "spec.stallPolicy cannot detect a stall: the run has no metrics; log progress/step, or any "
    "other"
)


def watched(context: Context, running: Plan) -> Plan:
    """The plan of a running job, with a change of the condition Stalled and the next reconcile."""
    policy = context.job.spec.stall_policy
    if policy is None or running.status is not None:
        return running
    stalled = _stalled(context, policy)
    if stalled is not None:
        wanted = conditions.with_one(context.job.status, context.job, stalled, context.now)
        _, truth, reason, message = stalled
        events = () if truth == "False" else (EventIntent("Warning", reason, message),)
        running = status.plan(context, wanted, *events)
    due = stall.deadline(context, policy)
    left = (due - context.now).total_seconds() if due is not None else 0.0
    return replace(running, requeue_after=left if left > 0 else RECHECK)


def _stalled(context: Context, policy: StallPolicy) -> NewCondition | None:
    """The condition Stalled, if it has to change."""
    before = conditions.found(context.job.status, conditions.STALLED)
    if stall.without_step(context, policy):
        if stall.unmeasured(context):
            new: NewCondition = (conditions.STALLED, "Unknown", NO_METRICS, NO_METRICS_MESSAGE)
        else:
            new = (conditions.STALLED, "True", Reason.STALLED, stall.message(policy))
        same = before is not None and before.reason == new[2]
        return None if same else new
    steps = context.run.steps
    if before is None or before.status == "False" or steps is None or steps.last is None:
        return None
    if steps.last + timedelta(seconds=policy.timeout_seconds) <= context.now:
        return None
    return conditions.STALLED, "False", STEPPING, "training makes steps"
