"""The tags of the run that the operator keeps: its job, and the outcome of each attempt."""

from datetime import datetime

from trainingjob_operator.api import Attempt, Failure, Goodput, Outcome, State, TrainingJob
from trainingjob_operator.api import TrainingJobStatus as Status
from trainingjob_operator.core import contract, goodput
from trainingjob_operator.core.run_status import TERMINAL_STATES

DELETED = "Deleted"
FAILED_OUTCOMES = (Outcome.FAILED, Outcome.DISRUPTED)


def of(job: TrainingJob, status: Status) -> dict[str, str]:
    """All tags; those of outcome, failure and goodput change only when an attempt is over.

    So an attempt costs one further call at its end, and none at its start.
    """
    tags = {
        contract.TAG_UID: job.metadata.uid,
        contract.TAG_NAME: job.metadata.name,
        contract.TAG_NAMESPACE: job.metadata.namespace,
        contract.TAG_ATTEMPT: str(max(status.attempt, 1)),
    }
    tags |= _failure(status)
    last = status.attempts[-1] if status.attempts else None
    if status.state in TERMINAL_STATES:
        tags[contract.TAG_OUTCOME] = str(status.state)
    elif last is not None and last.completion_time is not None and last.outcome is not None:
        tags[contract.TAG_OUTCOME] = str(last.outcome)
    else:
        return tags
    return {**tags, **_goodput(status.goodput)}


def of_deletion(job: TrainingJob, ended: datetime) -> dict[str, str]:
    """The tags that change when a job is deleted before its end.

    The goodput of a job that was read from its child Job is not known.
    """
    status = job.status
    unknown = status.state is not None and status.goodput is None
    sums = None if unknown else goodput.at_end(job, ended)
    return {contract.TAG_OUTCOME: DELETED, **_goodput(sums)}


def _failure(status: Status) -> dict[str, str]:
    """The cause of the job's failure, or of the last attempt that failed.

    Set as long as the job lives: an operator may have died after storing that end and before
    setting the tags. All are set, unknown ones as empty, so that none remains of another failure.
    """
    last = next((one for one in reversed(status.attempts) if one.outcome in FAILED_OUTCOMES), None)
    shown: Failure | Attempt | None = last
    number = last.attempt if last else status.attempt
    if status.state == State.FAILED:
        last = status.attempts[-1] if status.attempts else None
        shown, number = status.failure, status.attempt
    if shown is None:
        return {}
    values = {
        "attempt": number,
        "reason": shown.reason,
        "message": shown.message,
        "exit_code": last.exit_code if last else None,
        "node": shown.node,
        "rank": shown.rank,
        "global_rank": shown.global_rank,
        "frame": shown.frame,
        "epoch": shown.epoch,
        "step": shown.step,
    }
    return {
        f"{contract.TAG_FAILURE}{name}": "" if value is None else str(value)
        for name, value in values.items()
    }


def _goodput(sums: Goodput | None) -> dict[str, str]:
    if sums is None:
        return {}
    shown = sums.model_dump(by_alias=False, exclude={"until"})
    return {f"{contract.TAG_GOODPUT}{name}": str(value) for name, value in shown.items()}
