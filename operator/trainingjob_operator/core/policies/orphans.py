"""Runs that are no longer managed: the status that they should have."""

from datetime import datetime, timedelta

from trainingjob_operator.api import TrainingJob
from trainingjob_operator.core import contract
from trainingjob_operator.core.intent import RunStatus
from trainingjob_operator.core.run_status import RUN_STATUS, TERMINAL_STATES

# A run as young as this may be of a job that is about to store it.
YOUNGEST = timedelta(seconds=60)


def right_end(
    run_id: str,
    tags: dict[str, str],
    job: TrainingJob | None,
    guarded: bool,
    started: datetime,
    now: datetime,
) -> tuple[RunStatus, datetime] | None:
    """Status and end time for a run that is SCHEDULED or RUNNING; None if it is still managed.

    `job` is the TrainingJob of the name in the run's tags, as the API server has it now; `guarded`
    says that the operator still closes the run of the uid in the tags.
    """
    if now - started < YOUNGEST:
        return None
    if job is None or job.metadata.uid != tags.get(contract.TAG_UID):
        return None if guarded else (RunStatus.KILLED, now)
    known = job.status.mlflow.run_id if job.status.mlflow else None
    if known is None or tags.get(contract.TAG_REPLACES) == known:
        return None
    if started != job.metadata.creation_timestamp:
        # The operator sets a run's start to its job's creation: somebody else created this one.
        return None
    if known != run_id:
        return RunStatus.KILLED, now
    state = job.status.state
    if state not in TERMINAL_STATES or guarded:
        return None
    return RUN_STATUS[state], job.status.completion_time or now
