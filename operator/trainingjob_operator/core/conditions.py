"""The conditions of a TrainingJob, in the form of metav1.Condition."""

from datetime import datetime
from typing import Literal

from trainingjob_operator.api import (
    MESSAGE_LIMIT,
    Condition,
    State,
    TrainingJob,
    TrainingJobStatus,
)
from trainingjob_operator.core.intent import RunStatus, RunView

Truth = Literal["True", "False", "Unknown"]
NewCondition = tuple[str, Truth, str, str]

RUNNING = "Running"
SUCCEEDED = "Succeeded"
FAILED = "Failed"
STOPPED = "Stopped"
SUSPENDED = "Suspended"
MLFLOW_SYNCED = "MLflowSynced"
STALLED = "Stalled"
READABLE = "Readable"
MLFLOW_UNAVAILABLE = "MLflowUnavailable"
RUN_DELETED = "RunDeleted"
UPDATING = "Updating"
RUN_CONFLICT = "RunConflict"
FOREIGN_RUN = "ForeignRun"
NODES_JOINED = "NodesJoined"
NODES_NOT_JOINED = "NodesNotJoined"
PREPARING = "Preparing"


def with_conditions(
    status: TrainingJobStatus,
    job: TrainingJob,
    run: RunView,
    wanted: RunStatus | None,
    now: datetime,
) -> TrainingJobStatus:
    """`status` with its conditions; `wanted` is the run's status that belongs to it, if any."""
    conditions = {condition.type: condition for condition in status.conditions}
    new = [
        *_of_state(status),
        *_of_suspension(status, SUSPENDED in conditions),
        *_of_stall(status, STALLED in conditions),
        *_of_reading(READABLE in conditions),
    ]
    new += _of_run(run, wanted, status, conditions.get(MLFLOW_SYNCED))
    for kind, truth, reason, message in new:
        old = conditions.get(kind)
        unchanged = old is not None and (old.status, old.reason) == (truth, reason)
        if old is not None and unchanged and kind == MLFLOW_SYNCED:
            # The wording of a connection error varies from call to call; that is not a change.
            message = old.message
        conditions[kind] = _condition(old, job, (kind, truth, reason, message), now)
    return status.model_copy(update={"conditions": list(conditions.values())})


def with_one(
    status: TrainingJobStatus, job: TrainingJob, new: NewCondition, now: datetime
) -> TrainingJobStatus:
    """`status` with one condition as `new`: its type, truth, reason and message."""
    conditions = {condition.type: condition for condition in status.conditions}
    conditions[new[0]] = _condition(conditions.get(new[0]), job, new, now)
    return status.model_copy(update={"conditions": list(conditions.values())})


def _condition(
    old: Condition | None, job: TrainingJob, new: NewCondition, now: datetime
) -> Condition:
    kind, truth, reason, message = new
    since = old.last_transition_time if old is not None and old.status == truth else now
    return Condition(
        type=kind,
        status=truth,
        reason=reason,
        message=message[:MESSAGE_LIMIT],
        observed_generation=job.metadata.generation,
        last_transition_time=since,
    )


def found(status: TrainingJobStatus, kind: str) -> Condition | None:
    """A condition as it is stored."""
    return next((one for one in status.conditions if one.type == kind), None)


def problem_reason(run: RunView) -> str:
    """Why the run cannot be updated."""
    return RUN_DELETED if run.deleted else MLFLOW_UNAVAILABLE


def _of_state(status: TrainingJobStatus) -> list[NewCondition]:
    failure = status.failure
    reason = failure.reason if failure and failure.reason else ""
    message = failure.message if failure and failure.message else ""
    match status.state:
        case State.RUNNING:
            return [(RUNNING, "True", "AllPodsRunning", "all pods run")]
        case State.SUCCEEDED:
            return [
                (RUNNING, "False", "Ended", "the job has ended"),
                (SUCCEEDED, "True", "JobComplete", "all pods succeeded"),
            ]
        case State.FAILED:
            return [
                (RUNNING, "False", "Ended", "the job has ended"),
                (FAILED, "True", reason, message),
            ]
        case State.STOPPED:
            return [
                (RUNNING, "False", "Ended", "the job has ended"),
                (STOPPED, "True", "Stopped", "spec.stop is true"),
            ]
        case State.PENDING if failure is None:
            return [(RUNNING, "False", "WaitingForRun", "waiting for MLflow to create the run")]
        case State.STARTING if status.preparing is not None:
            return [(RUNNING, "False", PREPARING, status.preparing)]
        case State.SUSPENDED:
            return [(RUNNING, "False", "Suspended", "spec.suspend is true")]
        case State.QUEUED if failure is None:
            return [(RUNNING, "False", "Queued", "the Job waits for its queue")]
        case _:
            return [(RUNNING, "False", reason or "PodsStarting", message or "pods are starting")]


def _of_suspension(status: TrainingJobStatus, before: bool) -> list[NewCondition]:
    if status.state == State.SUSPENDED:
        return [(SUSPENDED, "True", "Suspended", "spec.suspend is true")]
    return [(SUSPENDED, "False", "Resumed", "spec.suspend is false")] if before else []


def _of_stall(status: TrainingJobStatus, before: bool) -> list[NewCondition]:
    if before and status.state != State.RUNNING:
        return [(STALLED, "False", "NotRunning", "the training does not run")]
    return []


def _of_reading(before: bool) -> list[NewCondition]:
    """A job that an earlier release could not read and this one can."""
    return [(READABLE, "True", "Read", "this release reads all fields")] if before else []


def _of_run(
    run: RunView, wanted: RunStatus | None, status: TrainingJobStatus, before: Condition | None
) -> list[NewCondition]:
    """Without an answer from MLflow, the last confirmed status counts, which is stored."""
    if wanted is None:
        return []
    new: list[NewCondition] = []
    known = run.status or (status.mlflow.status if status.mlflow else None)
    if run.foreign is not None:
        new.append((RUN_CONFLICT, "True", FOREIGN_RUN, run.foreign))
    if run.unjoined is not None:
        new.append((NODES_JOINED, "False", NODES_NOT_JOINED, run.unjoined))
    if run.problem is not None:
        new.append((MLFLOW_SYNCED, "False", problem_reason(run), run.problem))
    elif run.status == wanted:
        new.append((MLFLOW_SYNCED, "True", "Confirmed", "the run's status is that of the job"))
    elif before is not None and before.status == "True" and known != wanted:
        message = f"the run is {known or 'not known'}, the operator is setting it to {wanted}"
        new.append((MLFLOW_SYNCED, "Unknown", UPDATING, message))
    return new
