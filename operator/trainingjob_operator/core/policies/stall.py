"""A running job whose training makes no new step, as far as MLflow tells.

MLflow keeps when the last step was, the status since when MLflow answers: a restart of the operator
changes neither. After one it only waits a little for metrics that a trainer held back meanwhile.
"""

from dataclasses import replace
from datetime import datetime, timedelta

from trainingjob_operator.api import StallAction, StallPolicy, State
from trainingjob_operator.core import conditions, status
from trainingjob_operator.core.conditions import Told
from trainingjob_operator.core.intent import EventIntent, Plan
from trainingjob_operator.core.policies.failure import Cause
from trainingjob_operator.core.reasons import Reason
from trainingjob_operator.core.status import Context

# A trainer that could not reach MLflow tries again after half a minute at most.
DELIVERY_SECONDS = 60
# Seconds until the next look where it is MLflow's turn to tell something.
RECHECK = 5.0
STEPPING = "Stepping"
NO_METRICS = "NoProgressMetrics"
NO_METRICS_MESSAGE = (
    "spec.stallPolicy has nothing to go by: the run has no metrics; log progress/step, or any other"
)


def to_stop(context: Context) -> Cause | None:
    """The stall that ends the attempt, if there is one and the policy says so."""
    policy = context.job.spec.stall_policy
    if policy is None or policy.action == StallAction.EVENT or _unmeasured(context):
        return None
    return Cause(Reason.STALLED, _message(policy)) if _without_step(context, policy) else None


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
    deadline = _deadline(context, policy)
    left = (deadline - context.now).total_seconds() if deadline is not None else 0.0
    return replace(running, requeue_after=left if left > 0 else RECHECK)


def _told(context: Context, policy: StallPolicy) -> Told | None:
    """The condition Stalled, where it is to be another one."""
    before = conditions.found(context.job.status, conditions.STALLED)
    if _without_step(context, policy):
        if _unmeasured(context):
            told: Told = (conditions.STALLED, "Unknown", NO_METRICS, NO_METRICS_MESSAGE)
        else:
            told = (conditions.STALLED, "True", Reason.STALLED, _message(policy))
        same = before is not None and before.reason == told[2]
        return None if same else told
    steps = context.run.steps
    if before is None or before.status == "False" or steps is None or steps.last is None:
        return None
    if steps.last + timedelta(seconds=policy.timeout_seconds) <= context.now:
        return None
    return conditions.STALLED, "False", STEPPING, "training makes steps"


def _without_step(context: Context, policy: StallPolicy) -> bool:
    """Whether MLflow, asked after the time was over, knew no new step."""
    steps, deadline = context.run.steps, _deadline(context, policy)
    if steps is None or steps.checked is None or deadline is None:
        return False
    patience = timedelta(seconds=min(policy.timeout_seconds, DELIVERY_SECONDS))
    return steps.checked >= deadline and context.now >= steps.answering_since + patience


def _deadline(context: Context, policy: StallPolicy) -> datetime | None:
    """When the next step is due; None while MLflow cannot tell of one."""
    job, steps = context.job, context.run.steps
    synced = conditions.found(job.status, conditions.MLFLOW_SYNCED)
    if steps is None or context.run.problem is not None or job.status.state != State.RUNNING:
        return None
    if synced is None or synced.status != "True":
        return None
    moments = (job.status.running_time, synced.last_transition_time, steps.last)
    latest = max((moment for moment in moments if moment is not None), default=None)
    return None if latest is None else latest + timedelta(seconds=policy.timeout_seconds)


def _unmeasured(context: Context) -> bool:
    """Whether the run has no metric that tells of steps, nor any sign that it would have some.

    A trainer whose system metrics arrive would tell of steps, too.
    """
    steps = context.run.steps
    return steps is None or (steps.last is None and not steps.measured)


def _message(policy: StallPolicy) -> str:
    return f"training made no step within spec.stallPolicy ({policy.timeout_seconds} s)"
