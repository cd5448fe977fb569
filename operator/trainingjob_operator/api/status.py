from enum import StrEnum
from typing import Annotated, Literal

from pydantic import Field, computed_field

from trainingjob_operator.api.base import MAX_WHOLE, ApiModel, Timestamp
from trainingjob_operator.api.runtime import RuntimeStatus

# Characters of a message and of a reason, as of metav1.Condition.
MESSAGE_LIMIT = 32768
REASON_LIMIT = 1024
Message = Annotated[str, Field(max_length=MESSAGE_LIMIT)]
Reason = Annotated[str, Field(max_length=REASON_LIMIT)]
Name = Annotated[str, Field(max_length=253)]
Count = Annotated[int, Field(ge=0, le=MAX_WHOLE)]


class State(StrEnum):
    """Where a job is in its life; the summary of its conditions."""

    PENDING = "Pending"
    SUSPENDED = "Suspended"
    QUEUED = "Queued"
    STARTING = "Starting"
    RUNNING = "Running"
    RESTARTING = "Restarting"
    SUCCEEDED = "Succeeded"
    FAILED = "Failed"
    STOPPED = "Stopped"


class Condition(ApiModel):
    """A condition with the fields of metav1.Condition."""

    type: str = Field(
        max_length=316,
        description="Running, Succeeded, Failed, Stopped, Suspended, Stalled, MLflowSynced, "
        "Readable, RunConflict or NodesJoined.",
    )
    status: Literal["True", "False", "Unknown"] = Field(description="True, False or Unknown.")
    reason: str = Field(
        default="",
        max_length=REASON_LIMIT,
        description="UpperCamelCase word that programs may compare.",
    )
    message: str = Field(
        default="", max_length=MESSAGE_LIMIT, description="Explanation for people."
    )
    observed_generation: int | None = Field(
        default=None, ge=0, description="metadata.generation that the condition is about."
    )
    last_transition_time: Timestamp | None = Field(
        default=None, description="When status last changed."
    )


class Outcome(StrEnum):
    """How an attempt ends."""

    SUCCEEDED = "Succeeded"
    FAILED = "Failed"
    DISRUPTED = "Disrupted"
    SUSPENDED = "Suspended"
    STOPPED = "Stopped"


class Attempt(ApiModel):
    """One try of the job: one batch/v1 Job."""

    attempt: int = Field(ge=0, description="Number of the attempt.")
    job: str | None = Field(default=None, description="Name of the attempt's batch/v1 Job.")
    start_time: Timestamp | None = Field(default=None, description="When the Job was created.")
    running_time: Timestamp | None = Field(default=None, description="When all of its pods ran.")
    completion_time: Timestamp | None = Field(default=None, description="When it ended.")
    outcome: Outcome | None = Field(
        default=None,
        description="How it ends: Succeeded, Failed, Disrupted, Suspended or Stopped. Without a "
        "completionTime: its pods are being stopped.",
    )
    reason: Reason | None = Field(default=None, description="Why it ended so, e.g. OOMKilled.")
    message: Message | None = Field(default=None, description="Explanation for people.")
    exit_code: int | None = Field(
        default=None, description="Exit code of the container that failed first."
    )
    node: Name | None = Field(default=None, description="Name of the node where it happened.")
    rank: Count | None = Field(default=None, description="Node rank of the pod that failed first.")
    global_rank: Count | None = Field(
        default=None, description="Rank among all processes, as reported by the trainer."
    )
    frame: Message | None = Field(
        default=None, description="Line of the code that failed, as reported by the trainer."
    )
    epoch: Count | None = Field(
        default=None, description="Epoch of the failure, as reported by the trainer."
    )
    step: Count | None = Field(
        default=None, description="Step of the failure, as reported by the trainer."
    )


class Goodput(ApiModel):
    """Where the time of the job went: the sum is all of it from creation to `until`."""

    queued_seconds: int = Field(
        default=0,
        ge=0,
        description="Seconds before the first attempt, suspended, or waiting for a queue.",
    )
    starting_seconds: int = Field(
        default=0,
        ge=0,
        description="Seconds from an attempt's start until all of its pods ran.",
    )
    productive_seconds: int = Field(
        default=0, ge=0, description="Seconds of training that no restart undid."
    )
    lost_seconds: int = Field(
        default=0,
        ge=0,
        description="Seconds between attempts, and of training that a restart undid: with a "
        "checkpoint at most everySeconds of it, without one all of the attempt.",
    )
    until: Timestamp | None = Field(
        default=None,
        description="Up to when this counts: the last change of state. The time since is of the "
        "present state.",
    )


class MlflowStatus(ApiModel):
    """The MLflow run of the job as the operator last saw it."""

    tracking_uri: str | None = Field(
        default=None,
        description="MLflow server of the run. A job keeps it to its end, whatever becomes of the "
        "operator's settings.",
    )
    workspace: str | None = Field(
        default=None,
        description="Workspace of the run on that server; none: the default one. Kept likewise.",
    )
    experiment_id: str | None = Field(default=None, description="Id of the experiment.")
    run_id: str | None = Field(default=None, description="Id of the run.")
    status: str | None = Field(
        default=None,
        description="Status of the run: SCHEDULED, RUNNING, FINISHED, FAILED or KILLED.",
    )
    url: str | None = Field(default=None, description="Page of the run in the MLflow UI.")


class Progress(ApiModel):
    """How far the training is, from the metrics of the run."""

    percentage: int | None = Field(
        default=None, ge=0, le=100, description="Part of the training that is done, in percent."
    )
    epoch: int | None = Field(default=None, ge=0, description="Epoch that training is in.")
    step: int | None = Field(default=None, ge=0, description="Optimizer steps done.")
    estimated_remaining_seconds: int | None = Field(
        default=None, ge=0, description="Seconds until the end at the present pace."
    )
    metrics: dict[str, float] = Field(
        default={}, description="Latest values of the main training metrics by name."
    )
    last_update_time: Timestamp | None = Field(
        default=None, description="When this was read from the run."
    )

    @computed_field(description="percentage as kubectl get prints it, e.g. 42%.")  # type: ignore[prop-decorator]  # pydantic's documented form; mypy lacks decorated properties
    @property
    def completed(self) -> str | None:
        """The percentage for people, e.g. `42%`."""
        return None if self.percentage is None else f"{self.percentage}%"

    @computed_field(  # type: ignore[prop-decorator]  # as above
        description="estimatedRemainingSeconds as kubectl get prints it, e.g. 3m20s."
    )
    @property
    def remaining(self) -> str | None:
        """The remaining time for people, in its two largest units, e.g. `3m20s`."""
        if self.estimated_remaining_seconds is None:
            return None
        minutes, seconds = divmod(self.estimated_remaining_seconds, 60)
        hours, minutes = divmod(minutes, 60)
        days, hours = divmod(hours, 24)
        if days:
            return f"{days}d{hours}h"
        if hours:
            return f"{hours}h{minutes}m"
        return f"{minutes}m{seconds}s" if minutes else f"{seconds}s"


class Failure(ApiModel):
    """Why the job or its last attempt failed, or why the pods of the attempt do not start."""

    reason: Reason | None = Field(default=None, description="UpperCamelCase word, e.g. OOMKilled.")
    message: Message | None = Field(default=None, description="Explanation for people.")
    node: Name | None = Field(default=None, description="Name of the node where it happened.")
    rank: Count | None = Field(default=None, description="Node rank of the pod that failed first.")
    global_rank: Count | None = Field(
        default=None, description="Rank among all processes, as reported by the trainer."
    )
    frame: Message | None = Field(
        default=None, description="Line of the code that failed, as reported by the trainer."
    )
    epoch: Count | None = Field(
        default=None, description="Epoch of the failure, as reported by the trainer."
    )
    step: Count | None = Field(
        default=None, description="Step of the failure, as reported by the trainer."
    )


class TrainingJobStatus(ApiModel):
    """What the operator last saw and did; written by the operator only."""

    state: State | None = Field(
        default=None,
        description=f"{', '.join(list(State)[:-1])} or {list(State)[-1]}.",
    )
    conditions: list[Condition] = Field(
        default=[],
        max_length=32,
        description="Running, Succeeded, Failed, Stopped, Suspended, Stalled, MLflowSynced, "
        "Readable, RunConflict and NodesJoined.",
        json_schema_extra={
            "x-kubernetes-list-type": "map",
            "x-kubernetes-list-map-keys": ["type"],
        },
    )
    observed_generation: int | None = Field(
        default=None, ge=0, description="metadata.generation that this status is about."
    )
    num_nodes: int | None = Field(
        default=None,
        ge=1,
        description="spec.numNodes, or its default: how many pods train together.",
    )
    runtime: RuntimeStatus | None = Field(
        default=None,
        description="The runtime that the job uses, and what came from it; fixed before the first "
        "attempt.",
    )
    attempt: int = Field(default=0, ge=0, description="Number of the current or last attempt.")
    attempts: list[Attempt] = Field(
        default=[], max_length=64, description="The last ten attempts, oldest first."
    )
    start_time: Timestamp | None = Field(
        default=None, description="When the operator first acted on the job."
    )
    running_time: Timestamp | None = Field(
        default=None, description="When all pods of the current attempt ran."
    )
    failed_attempts: int | None = Field(
        default=None, ge=0, description="Attempts that failed and count against backoffLimit."
    )
    disruptions: int | None = Field(
        default=None,
        ge=0,
        description="Attempts that the cluster ended, by eviction, preemption or loss of a node; "
        "they do not count against backoffLimit.",
    )
    next_attempt_time: Timestamp | None = Field(
        default=None, description="When the next attempt may start, in the state Restarting."
    )
    suspended_since: Timestamp | None = Field(
        default=None, description="When the job was last suspended or queued, while it is."
    )
    suspended_seconds: int | None = Field(
        default=None,
        ge=0,
        description="Seconds since startTime that it was suspended or queued before that.",
    )
    completion_time: Timestamp | None = Field(default=None, description="When the job ended.")
    goodput: Goodput | None = Field(default=None, description="Where the time of the job went.")
    mlflow: MlflowStatus | None = Field(default=None, description="The MLflow run of the job.")
    preparing: Message | None = Field(
        default=None,
        description="Which of spec.initializers runs, and how far it is, before the pods run.",
    )
    progress: Progress | None = Field(default=None, description="How far the training is.")
    failure: Failure | None = Field(
        default=None,
        description="Why the job or its last attempt failed, or why its pods do not start.",
    )
