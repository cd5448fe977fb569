"""The attempts in the status: how each starts and ends."""

from datetime import datetime

from trainingjob_operator.api import Attempt, Failure, State, TrainingJobStatus
from trainingjob_operator.core import goodput, inherited, names
from trainingjob_operator.core.cause import Cause
from trainingjob_operator.core.context import Context

# Older ones are dropped, so that the status stays small however often a job is disrupted.
KEPT = 10


def current(status: TrainingJobStatus) -> Attempt | None:
    """The last attempt; None before the first."""
    return status.attempts[-1] if status.attempts else None


def at_hand(status: TrainingJobStatus) -> int:
    """The number of the attempt that is under way, otherwise of the next one."""
    last = current(status)
    over = last is None or last.completion_time is not None
    return status.attempt + 1 if over else status.attempt


def begun(context: Context, since: datetime | None = None) -> TrainingJobStatus:
    """The status with the record of the next attempt, whose Job is created or about to be."""
    old = context.job.status
    number = old.attempt + 1
    start = since or context.now
    record = Attempt(
        attempt=number,
        job=names.child_job(context.job.metadata.name, number),
        start_time=start,
    )
    status = old.model_copy(
        update={
            "state": State.QUEUED if inherited.queue(context.job) else State.STARTING,
            "attempt": number,
            "attempts": [*old.attempts, record][-KEPT:],
            "start_time": old.start_time or start,
            "running_time": None,
            "next_attempt_time": None,
            "failure": None,
        }
    )
    # Settle the time before it here, since this status may be skipped in favour of the next one.
    sums = goodput.advanced(context.job, status, start)
    return status.model_copy(update={"goodput": sums})


def changed(status: TrainingJobStatus, **update: object) -> list[Attempt]:
    """The attempts with a change of the last one."""
    if not status.attempts:
        return []
    return [*status.attempts[:-1], status.attempts[-1].model_copy(update=update)]


def of_cause(cause: Cause) -> dict[str, object]:
    """The fields of an attempt that record the cause of its end."""
    return {**dict(failure_of(cause)), "exit_code": cause.exit_code}


def failure_of(cause: Cause) -> Failure:
    """The failure in the job's status for the cause of its end."""
    return Failure(
        reason=cause.reason,
        message=cause.message,
        node=cause.node,
        rank=cause.rank,
        global_rank=cause.global_rank,
        frame=cause.frame,
        epoch=cause.epoch,
        step=cause.step,
    )


def running_since(status: TrainingJobStatus, seen: datetime | None) -> datetime | None:
    """When all pods of the current attempt ran, as stored, otherwise according to the pods."""
    return status.running_time or seen
