"""Deadlines, from the times in the status: a restart of the operator changes none of them."""

from datetime import datetime, timedelta

from trainingjob_operator.api import Failure, State
from trainingjob_operator.core import attempts
from trainingjob_operator.core.cause import Cause
from trainingjob_operator.core.context import Context
from trainingjob_operator.core.observe import PodView
from trainingjob_operator.core.policies import starting
from trainingjob_operator.core.reasons import Reason
from trainingjob_operator.core.run_status import WAITING_STATES


def overdue(context: Context, pods: tuple[PodView, ...]) -> Cause | None:
    """Why the job has to end now, if one of its deadlines has passed.

    An attempt whose pods do not run in time ends with what a pod waits for as its cause.
    """
    spec = context.job.spec
    active, starting = active_end(context), start_end(context)
    if active is not None and context.now >= active:
        limit = f"spec.activeDeadlineSeconds ({spec.active_deadline_seconds} s)"
        return Cause(Reason.DEADLINE_EXCEEDED, f"the job did not end within {limit}")
    if starting is not None and context.now >= starting:
        limit = f"spec.preRunningDeadlineSeconds ({spec.pre_running_deadline_seconds} s)"
        return _not_started(f"not all pods ran within {limit}", pods, context.job.status.failure)
    return None


def seconds_left(context: Context) -> float | None:
    """Seconds until the next deadline that has not passed yet."""
    ends = (active_end(context), start_end(context))
    left = [(end - context.now).total_seconds() for end in ends if end is not None]
    return min((seconds for seconds in left if seconds > 0), default=None)


def active_end(context: Context) -> datetime | None:
    """When the job as a whole has to have ended; it stands still while it is suspended."""
    status, limit = context.job.status, context.job.spec.active_deadline_seconds
    if limit is None or status.start_time is None or status.state in WAITING_STATES:
        return None
    return status.start_time + timedelta(seconds=limit + (status.suspended_seconds or 0))


def start_end(context: Context) -> datetime | None:
    """When all pods of the attempt that starts have to run."""
    last, limit = (
        attempts.current(context.job.status),
        context.job.spec.pre_running_deadline_seconds,
    )
    if limit is None or last is None or last.start_time is None:
        return None
    if context.job.status.state != State.STARTING:
        return None
    return last.start_time + timedelta(seconds=limit)


def _not_started(what: str, pods: tuple[PodView, ...], stored: Failure | None) -> Cause:
    known = starting.waiting(pods)
    cause = known[0] if known else stored
    if cause is None:
        return Cause(Reason.DEADLINE_EXCEEDED, what)
    reason = cause.reason or Reason.DEADLINE_EXCEEDED
    return Cause(reason, f"{what}: {cause.message}", cause.node, cause.rank)
