"""An attempt that the operator ends: first stored, then its pods, then its end is recorded.

In the status an outcome without a completion time says that the attempt is being stopped. Until
its last pod has ended the state, and with it the run's status, stay what they were.
"""

from dataclasses import replace

from trainingjob_operator.api import Outcome, StallAction
from trainingjob_operator.core import attempts
from trainingjob_operator.core.cause import Cause
from trainingjob_operator.core.context import Context
from trainingjob_operator.core.intent import EventIntent, Plan
from trainingjob_operator.core.observe import EVIDENCE_SECONDS, Observed
from trainingjob_operator.core.plans import ending, outcome, status
from trainingjob_operator.core.policies import retry
from trainingjob_operator.core.reasons import Reason

# The informers show the last pod's end; seconds until a reconcile without them.
LAST_POD_RECHECK = 30.0
SUSPENDED = Cause("Suspended", "spec.suspend is true")


def begin(context: Context, cause: Cause) -> Plan:
    """Store that the attempt is to end, and why; SUSPENDED is a cause that is no failure."""
    old, suspended = context.job.status, cause is SUSPENDED
    how = Outcome.SUSPENDED if suspended else Outcome.FAILED
    update: dict[str, object] = {
        "attempts": attempts.changed(old, outcome=how, reason=cause.reason, rank=cause.rank)
    }
    if not suspended:
        update["failure"] = attempts.failure_of(cause)
    event = EventIntent("Normal", "Stopping", f"attempt {old.attempt}: {cause.message}")
    return status.plan(context, old.model_copy(update=update), event)


def proceed(context: Context, observed: Observed) -> Plan:
    """Stop the pods of an attempt that is to end, and record its end after the last of them."""
    uid = context.job.metadata.uid
    child = observed.job
    if child is not None and child.owner_uid == uid and child.complete:
        # It ended by itself before it was stopped: that outcome counts.
        return outcome.succeeded(context, child.ended_at, None)
    if observed.live(uid):
        return wait(context, observed)
    last = attempts.current(context.job.status)
    if last is not None and last.outcome == Outcome.SUSPENDED:
        return outcome.suspended(context)
    cause = _stored_cause(context)
    policy = context.job.spec.stall_policy
    if cause.reason != Reason.STALLED or policy is None or policy.action != StallAction.RESTART:
        return outcome.failed(context, cause)
    match retry.after(context.job, cause):
        case retry.Restart() as restart:
            return outcome.restarting(context, cause, restart)
        case retry.GiveUp(reported):
            return outcome.failed(context, cause, reported=reported)


def wait(context: Context, observed: Observed) -> Plan:
    """End what still runs, and reconcile again when the last pod has ended."""
    ends = ending.end_all(context, observed)
    if ends:
        return Plan(actions=ends, run=status.run_intent(context, context.job.status))
    jobs = observed.jobs_of(context.job.metadata.uid)
    new = any(ending.unseen(child, observed, context.now) for child in jobs)
    held = status.plan(context, context.job.status)
    return replace(held, requeue_after=EVIDENCE_SECONDS if new else LAST_POD_RECHECK)


def _stored_cause(context: Context) -> Cause:
    stored = context.job.status.failure
    if stored is None:
        return Cause(Reason.STOPPED, "the attempt was stopped")
    return Cause(stored.reason or Reason.STOPPED, stored.message or "", stored.node, stored.rank)
