"""The plan of a running job whose steps are watched: the condition Stalled, and the next look."""

from dataclasses import replace
from datetime import timedelta

from trainingjob_operator.api import StallPolicy
from trainingjob_operator.core import conditions
from trainingjob_operator.core.conditions import Told
from trainingjob_operator.core.context import Context
from trainingjob_operator.core.intent import EventIntent, Plan
from trainingjob_operator.core.plans import status
from trainingjob_operator.core.policies import stall
from trainingjob_operator.core.reasons import Reason

# Seconds until the next look where it is MLflow's turn to tell something.
RECHECK = 5.0
STEPPING = "Stepping"
NO_METRICS = "NoProgressMetrics"
NO_METRICS_MESSAGE = (
    "spec.stallPolicy has nothing to go by: the run has no metrics; log progress/step, or any other"
)


def watched(context: Context, running: Plan) -> Plan:
    """The plan of a running job, with what is to be told of its steps and the next look."""
    policy = context.job.spec.stall_policy
    if policy is None or running.status is not None:
        return running
    told = _told(context, policy)
    if told is not None:
        wanted = conditions.with_one(context.job.status, context.job, told, context.now)
        _, truth, reason, message = told
        events = () if truth == "False" else (EventIntent("Warning", reason, message),)
        running = status.plan(context, wanted, *events)
    due = stall.deadline(context, policy)
    left = (due - context.now).total_seconds() if due is not None else 0.0
    return replace(running, requeue_after=left if left > 0 else RECHECK)


def _told(context: Context, policy: StallPolicy) -> Told | None:
    """The condition Stalled, where it is to be another one."""
    before = conditions.found(context.job.status, conditions.STALLED)
    if stall.without_step(context, policy):
        if stall.unmeasured(context):
            told: Told = (conditions.STALLED, "Unknown", NO_METRICS, NO_METRICS_MESSAGE)
        else:
            told = (conditions.STALLED, "True", Reason.STALLED, stall.message(policy))
        same = before is not None and before.reason == told[2]
        return None if same else told
    steps = context.run.steps
    if before is None or before.status == "False" or steps is None or steps.last is None:
        return None
    if steps.last + timedelta(seconds=policy.timeout_seconds) <= context.now:
        return None
    return conditions.STALLED, "False", STEPPING, "training makes steps"
