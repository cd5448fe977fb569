"""What the API server does not take for now: told, and tried again ever later."""

from dataclasses import replace
from datetime import timedelta

from trainingjob_operator.api import Failure
from trainingjob_operator.core import attempts, names
from trainingjob_operator.core.cause import Cause
from trainingjob_operator.core.context import Context
from trainingjob_operator.core.intent import Plan
from trainingjob_operator.core.observe import JobView, Observed, Refusal
from trainingjob_operator.core.plans import launch, outcome, status
from trainingjob_operator.core.reasons import Reason

# A leftover of an earlier TrainingJob goes by the garbage collector; one that stays is told.
LEFTOVER_TOLD_AFTER = timedelta(seconds=5)
# Seconds until the next look at an object that has our name.
RECHECK = 2.0


def with_job(context: Context, child: JobView) -> Plan:
    """A Job of somebody else has the attempt's name: it is never touched, and waited for."""
    if child.owner_uid and _young(context):
        held = status.run_intent(context, context.job.status)
        return Plan(run=held, requeue_after=RECHECK)
    reason = Reason.NAME_CONFLICT
    if _is_told(context, reason):
        told = status.plan(context, context.job.status)
    else:
        failure = Failure(reason=reason, message=names.taken("Job", child.name))
        told = outcome.waiting(context, failure)
    return replace(told, requeue_after=RECHECK)


def refused(context: Context, observed: Observed, refusal: Refusal) -> Plan:
    """What a quota or an admission policy refuses may be taken later: told, and tried again."""
    if refusal.final:
        return outcome.failed(context, Cause(refusal.reason, refusal.message))
    if _is_told(context, refusal.reason) or (refusal.leftover and _young(context)):
        return launch.create(context, observed)
    return outcome.waiting(context, Failure(reason=refusal.reason, message=refusal.message))


def _is_told(context: Context, reason: str) -> bool:
    told = context.job.status.failure
    return told is not None and told.reason == reason


def _young(context: Context) -> bool:
    last = attempts.current(context.job.status)
    since = (last.start_time if last is not None else None) or context.now
    return context.now - since < LEFTOVER_TOLD_AFTER
