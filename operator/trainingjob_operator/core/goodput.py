"""Where the time of a job went, added up at each change of its state.

All sums are in the status and count from times that are stored there, so a restart of the operator
changes nothing. Each second since the job's creation is in exactly one sum.
"""

from collections.abc import Iterable
from datetime import datetime, timedelta

from trainingjob_operator.api import (
    Attempt,
    Goodput,
    State,
    TrainingJob,
    TrainingJobSpec,
    TrainingJobStatus,
)
from trainingjob_operator.core.cause import EXIT_TERMINATED
from trainingjob_operator.core.run_status import TERMINAL_STATES

# The sum that a state's time belongs to; that of Running is divided when it ends.
SUM_OF_STATE = {
    None: "queued_seconds",
    State.PENDING: "queued_seconds",
    State.SUSPENDED: "queued_seconds",
    State.QUEUED: "queued_seconds",
    State.STARTING: "starting_seconds",
    State.RUNNING: "productive_seconds",
    State.RESTARTING: "lost_seconds",
}


def advanced(job: TrainingJob, wanted: TrainingJobStatus, now: datetime) -> Goodput | None:
    """The sums as they are when the job's status becomes `wanted`."""
    old = job.status
    if wanted.state == old.state or old.state in TERMINAL_STATES:
        return old.goodput
    sums = old.goodput or Goodput(until=job.metadata.creation_timestamp or now)
    since = sums.until or now
    end = max(_end(old, wanted, now), since)
    ran_from = min(max(_ran_from(old, wanted, since, end), since), end)
    sums = _plus(sums, SUM_OF_STATE[old.state], ran_from - since)
    if wanted.state == State.RUNNING:
        return sums.model_copy(update={"until": ran_from})
    ran = int((end - ran_from).total_seconds())
    lost = 0 if wanted.state in TERMINAL_STATES else _lost(job.spec, _last(wanted), ran)
    return sums.model_copy(
        update={
            "productive_seconds": sums.productive_seconds + ran - lost,
            "lost_seconds": sums.lost_seconds + lost,
            "until": end,
        }
    )


def at_end(job: TrainingJob, ended: datetime) -> Goodput | None:
    """The sums of a job that is deleted before its end."""
    return advanced(job, job.status.model_copy(update={"state": State.FAILED}), ended)


def as_of(job: TrainingJob, now: datetime) -> Goodput | None:
    """The stored sums with the time since then, which belongs to the present state."""
    status = job.status
    if status.state in TERMINAL_STATES or status.goodput is None or status.goodput.until is None:
        return status.goodput
    since = max(now, status.goodput.until) - status.goodput.until
    return _plus(status.goodput, SUM_OF_STATE[status.state], since)


def total(all_sums: Iterable[Goodput | None]) -> dict[str, int]:
    """The sums of several jobs, by the name of the phase."""
    found = [sums for sums in all_sums if sums is not None]
    return {
        "queued": sum(sums.queued_seconds for sums in found),
        "starting": sum(sums.starting_seconds for sums in found),
        "productive": sum(sums.productive_seconds for sums in found),
        "lost": sum(sums.lost_seconds for sums in found),
    }


def _plus(sums: Goodput, name: str, more: timedelta) -> Goodput:
    return sums.model_copy(update={name: getattr(sums, name) + int(more.total_seconds())})


def _last(status: TrainingJobStatus) -> Attempt | None:
    return status.attempts[-1] if status.attempts else None


def _end(old: TrainingJobStatus, wanted: TrainingJobStatus, now: datetime) -> datetime:
    """When the old state ended: an attempt may have ended before the operator saw it."""
    if wanted.state in TERMINAL_STATES:
        return wanted.completion_time or now
    before, after = _last(old), _last(wanted)
    if after is not None and before is not None and before.completion_time is None:
        return after.completion_time or now
    return now


def _ran_from(
    old: TrainingJobStatus, wanted: TrainingJobStatus, since: datetime, end: datetime
) -> datetime:
    """From when on all pods ran in the time from `since` to `end`; `end` if they did not."""
    if old.state == State.RUNNING:
        return since
    last = _last(wanted)
    if old.state != State.STARTING or last is None or last.running_time is None:
        return end
    # A queue that took its admission back leaves the time of the pods before.
    earlier = last.start_time is not None and last.running_time < last.start_time
    return end if earlier else last.running_time


def _lost(spec: TrainingJobSpec, attempt: Attempt | None, ran: int) -> int:
    """Seconds of training that the next attempt does again, at most.

    The trainer answers SIGTERM with a checkpoint and the exit code 143.
    """
    if spec.checkpoint is None:
        return ran
    if attempt is None or attempt.completion_time is None or attempt.reason == "Suspended":
        return 0
    return 0 if attempt.exit_code == EXIT_TERMINATED else min(ran, spec.checkpoint.every_seconds)
