"""A running job whose training makes no new step, according to MLflow.

MLflow keeps the time of the last step, the status since when MLflow answers: a restart of the
operator changes neither. After a restart it only waits a little for metrics that are still queued.
"""

from datetime import datetime, timedelta

from trainingjob_operator.api import StallAction, StallPolicy, State
from trainingjob_operator.core import conditions
from trainingjob_operator.core.cause import Cause
from trainingjob_operator.core.context import Context
from trainingjob_operator.core.reasons import Reason

# A trainer that could not reach MLflow retries after half a minute at most.
DELIVERY_SECONDS = 60


def to_stop(context: Context) -> Cause | None:
    """The stall that ends the attempt, if there is one and the policy says so."""
    policy = context.job.spec.stall_policy
    if policy is None or policy.action == StallAction.EVENT or unmeasured(context):
        return None
    return Cause(Reason.STALLED, message(policy)) if without_step(context, policy) else None


def without_step(context: Context, policy: StallPolicy) -> bool:
    """Whether MLflow, queried after the timeout, knew no new step."""
    steps, due = context.run.steps, deadline(context, policy)
    if steps is None or steps.checked is None or due is None:
        return False
    patience = timedelta(seconds=min(policy.timeout_seconds, DELIVERY_SECONDS))
    return steps.checked >= due and context.now >= steps.answering_since + patience


def deadline(context: Context, policy: StallPolicy) -> datetime | None:
    """When the next step is due; None while MLflow cannot report one."""
    job, steps = context.job, context.run.steps
    synced = conditions.found(job.status, conditions.MLFLOW_SYNCED)
    if steps is None or context.run.problem is not None or job.status.state != State.RUNNING:
        return None
    if synced is None or synced.status != "True":
        return None
    moments = (job.status.running_time, synced.last_transition_time, steps.last)
    latest = max((moment for moment in moments if moment is not None), default=None)
    return None if latest is None else latest + timedelta(seconds=policy.timeout_seconds)


def unmeasured(context: Context) -> bool:
    """Whether the run has no metric that shows steps, nor any sign that it would have one.

    A trainer whose system metrics arrive would also report steps.
    """
    steps = context.run.steps
    return steps is None or (steps.last is None and not steps.measured)


def message(policy: StallPolicy) -> str:
    """The stall in words."""
    return f"training made no step within spec.stallPolicy ({policy.timeout_seconds} s)"
