"""An attempt that the operator ends: first stored, then its pods, then its end is recorded.

In the status an outcome without a completion time says that the attempt is being stopped. Until
its last pod has ended the state, and with it the run's status, stay what they were.
"""

from dataclasses import replace

from trainingjob_operator.api import Outcome, StallAction, TrainingJobSpec
from trainingjob_operator.core import attempts
from trainingjob_operator.core.cause import Cause
from trainingjob_operator.core.context import Context
from trainingjob_operator.core.intent import EventIntent, Plan
from trainingjob_operator.core.observe import Observed
from trainingjob_operator.core.plans import ending, outcome, status
from trainingjob_operator.core.policies import retry
from trainingjob_operator.core.reasons import Reason

# The informers show the last pod's end; seconds until a reconcile without them.
LAST_POD_RECHECK = 30.0
# What a job's owner asks for, which is no failure.
_REQUESTS = {
    Outcome.SUSPENDED: Cause("Suspended", "spec.suspend is true"),
    Outcome.STOPPED: Cause("Stopped", "spec.stop is true"),
}


def _requested(spec: TrainingJobSpec) -> Outcome | None:
    if spec.stop:
        return Outcome.STOPPED
    return Outcome.SUSPENDED if spec.suspend else None


def request(spec: TrainingJobSpec) -> Cause | None:
    """Why the job's owner wants the attempt to end, if that is so."""
    outcome_of_it = _requested(spec)
    return None if outcome_of_it is None else _REQUESTS[outcome_of_it]


def at_rest(context: Context) -> Plan | None:
    """What the job's owner asks for, while no pod of it is live; None if it may go on."""
    return _as_requested(context, _requested(context.job.spec))


def begin(context: Context, cause: Cause) -> Plan:
    """Store that the attempt is to end, and why."""
    old = context.job.status
    how = next((one for one in _REQUESTS if _REQUESTS[one] == cause), Outcome.FAILED)
    update: dict[str, object] = {
        "attempts": attempts.changed(old, outcome=how, reason=cause.reason, rank=cause.rank)
    }
    if how == Outcome.FAILED:
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
    requested = _as_requested(context, last.outcome if last is not None else None)
    if requested is not None:
        return requested
    cause = _stored_cause(context)
    policy = context.job.spec.stall_policy
    if cause.reason != Reason.STALLED or policy is None or policy.action != StallAction.RESTART:
        return outcome.failed(context, cause)
    match retry.after(context.job, cause):
        case retry.Restart() as restart:
            return outcome.restarting(context, cause, restart)
        case retry.GiveUp(reported):
            return outcome.failed(context, cause, reported=reported)


def _as_requested(context: Context, how: Outcome | None) -> Plan | None:
    match how:
        case Outcome.STOPPED:
            return outcome.stopped(context)
        case Outcome.SUSPENDED:
            return outcome.suspended(context)
        case _:
            return None


def wait(context: Context, observed: Observed) -> Plan:
    """End what still runs, and reconcile again when the last pod has ended."""
    ends = ending.end_all(context.job, observed)
    if ends:
        return Plan(actions=ends, run=status.run_intent(context, context.job.status))
    held = status.plan(context, context.job.status)
    return replace(held, requeue_after=LAST_POD_RECHECK)


def _stored_cause(context: Context) -> Cause:
    stored = context.job.status.failure
    if stored is None:
        return Cause(Reason.STOPPED, "the attempt was stopped")
    return Cause(stored.reason or Reason.STOPPED, stored.message or "", stored.node, stored.rank)
