"""What the API server rejects for now: reported, and retried with a growing delay."""

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

# The garbage collector deletes a leftover of an earlier TrainingJob; one that stays is reported.
LEFTOVER_REPORTED_AFTER = timedelta(seconds=5)
# Seconds until the next check of an object that has our name.
RECHECK = 2.0


def with_job(context: Context, child: JobView) -> Plan:
    """A Job of another owner has the attempt's name: wait for it, and never touch it."""
    if child.owner_uid and _young(context):
        held = status.run_intent(context, context.job.status)
        return Plan(run=held, requeue_after=RECHECK)
    reason = Reason.NAME_CONFLICT
    if _reported(context, reason):
        waiting = status.plan(context, context.job.status)
    else:
        failure = Failure(reason=reason, message=names.taken("Job", child.name))
        waiting = outcome.waiting(context, failure)
    return replace(waiting, requeue_after=RECHECK)


def refused(context: Context, observed: Observed, refusal: Refusal) -> Plan:
    """A quota or an admission policy may accept the object later: report it, and retry."""
    if refusal.final:
        return outcome.failed(context, Cause(refusal.reason, refusal.message))
    if _reported(context, refusal.reason) or (refusal.leftover and _young(context)):
        return launch.create(context, observed)
    return outcome.waiting(context, Failure(reason=refusal.reason, message=refusal.message))


def _reported(context: Context, reason: str) -> bool:
    failure = context.job.status.failure
    return failure is not None and failure.reason == reason


def _young(context: Context) -> bool:
    last = attempts.current(context.job.status)
    since = (last.start_time if last is not None else None) or context.now
    return context.now - since < LEFTOVER_REPORTED_AFTER
