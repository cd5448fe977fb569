from enum import StrEnum
from typing import Annotated

from pydantic import Field

from trainingjob_operator.api.base import GROUP, MAX_SECONDS, ApiModel
from trainingjob_operator.api.kubernetes_types import ClaimTemplate
from trainingjob_operator.api.pod_rules import object_name_rules
from trainingjob_operator.api.rules import CHECKPOINT_PATH_RULES, CHECKPOINT_RULES, CLAIM_RULES

# The name of this operator for spec.managedBy.
MANAGER = f"{GROUP}/trainingjob-operator"
ExitCode = Annotated[int, Field(ge=1, le=255)]


class CleanPodPolicy(StrEnum):
    """Which pods are deleted when the job has ended."""

    RUNNING = "Running"
    ALL = "All"
    NONE = "None"


class StallAction(StrEnum):
    """What is done about a job whose training makes no step."""

    RESTART = "Restart"
    FAIL = "Fail"
    EVENT = "Event"


class Retry(ApiModel):
    """Which failures are worth another attempt, by the exit code of the pod that failed first.

    Without a list 128 to 255 (ended by a signal) are, and 1 to 127 are not.
    """

    retryable_exit_codes: list[ExitCode] = Field(
        default=[],
        max_length=255,
        description="Exit codes that are retried, besides the default 128 to 255. An OOMKilled "
        "container is retried only if its code, 137, is listed here.",
    )
    non_retryable_exit_codes: list[ExitCode] = Field(
        default=[],
        max_length=255,
        description="Exit codes that end the job, besides the default 1 to 127. "
        "Stronger than retryableExitCodes.",
    )


class ClaimRetention(StrEnum):
    """What becomes of a claim that the operator made, when the job is deleted."""

    DELETE = "Delete"
    KEEP = "Keep"


class Checkpoint(ApiModel):
    """Where checkpoints are kept from one attempt to the next.

    Either `volume`, or `claimName`, `claimTemplate` or both.
    """

    volume: str | None = Field(
        default=None,
        min_length=1,
        max_length=63,
        description="Name of the entry of spec.volumes to write to. It must outlive the pods: "
        "a persistentVolumeClaim or csi.",
    )
    claim_name: str | None = Field(
        default=None,
        min_length=1,
        max_length=253,
        description="Name of a PersistentVolumeClaim of this namespace. With claimTemplate it is "
        "made if there is none; one that exists is used and never changed or deleted. A "
        "TrainingJob that is deleted and created again finds its checkpoints there.",
    )
    claim_template: ClaimTemplate | None = Field(
        default=None,
        json_schema_extra=CLAIM_RULES,
        description="PersistentVolumeClaim that is made for the job: claimName, or without it "
        "NAME-checkpoints-UID with the first 8 characters of the uid.",
    )
    claim_retention: ClaimRetention | None = Field(
        default=None,
        description="Whether the claim that was made by claimTemplate is deleted with the job or "
        "kept: Delete or Keep. Default: Keep for one with a claimName, otherwise Delete.",
    )
    path: str = Field(
        min_length=1,
        max_length=4096,
        json_schema_extra=CHECKPOINT_PATH_RULES,
        description="Directory of the checkpoints in the container, the same on every attempt. "
        "The volume is mounted there, unless volumeMounts mount it at the path or above it.",
    )
    every_seconds: int = Field(
        default=300,
        ge=1,
        le=MAX_SECONDS,
        description="Seconds from one checkpoint to the next. Default: 300.",
    )
    keep: int = Field(
        default=3, ge=1, description="Number of checkpoints kept; older ones go. Default: 3."
    )


class StallPolicy(ApiModel):
    """What counts as a stalled training and what is done about it."""

    timeout_seconds: int = Field(
        ge=1,
        le=MAX_SECONDS,
        description="Seconds without a new training step in MLflow after which a running job has "
        "stalled. Time in which MLflow does not answer does not count. Longer than the longest "
        "validation and the start of training take.",
    )
    action: StallAction = Field(
        default=StallAction.EVENT,
        description="Restart the attempt, which counts against backoffLimit, Fail the job, or only "
        "send an Event and set the condition Stalled. Default: Event.",
    )


class Lifecycle(ApiModel):
    """The part of the spec that says when the job starts, starts again and ends."""

    suspend: bool | None = Field(
        default=None,
        description="True stops the pods by SIGTERM and starts no more; false starts the next "
        "attempt. Can be changed at any time.",
    )
    stop: bool | None = Field(
        default=None,
        description="True ends the job for good: its pods are stopped by SIGTERM and kept, its "
        "state becomes Stopped and its run KILLED. Cannot be taken back.",
    )
    queue_name: str | None = Field(
        default=None,
        min_length=1,
        max_length=63,
        json_schema_extra=object_name_rules("queueName"),
        description="Kueue LocalQueue of the job. Its batch/v1 Jobs are created suspended, with "
        "the label kueue.x-k8s.io/queue-name, and wait for Kueue to admit them. Can be changed "
        "while the job is suspended. Default: that label of the TrainingJob, if it has it.",
    )
    managed_by: str | None = Field(
        default=None,
        min_length=1,
        max_length=63,
        description="Controller that acts on the job. This operator leaves a job alone that names "
        f"another one than {MANAGER}. Default: this operator.",
    )
    backoff_limit: int = Field(
        default=0,
        ge=0,
        le=1000,
        description="Number of new attempts after failures that retry allows. Attempts that the "
        "cluster ended (eviction, preemption, a lost node) do not count. Can be raised at any "
        "time. Default: 0.",
    )
    retry: Retry | None = Field(
        default=None, description="Which exit codes are worth another attempt."
    )
    attempt_history_limit: int = Field(
        default=3,
        ge=0,
        le=1000,
        description="Number of attempts before the current or last one whose Jobs and pods are "
        "kept, for kubectl logs; older ones are deleted, and stay in status.attempts. Can be "
        "changed at any time. Default: 3.",
    )
    active_deadline_seconds: int | None = Field(
        default=None,
        ge=1,
        le=MAX_SECONDS,
        description="Seconds from the start to the end of the job over all attempts, without the "
        "time that it was suspended or queued. Can be changed at any time. Default: no limit.",
    )
    pre_running_deadline_seconds: int | None = Field(
        default=None,
        ge=1,
        le=MAX_SECONDS,
        description="Seconds from the start of each attempt until all of its pods must run. "
        "Can be changed at any time. Default: no limit.",
    )
    ttl_seconds_after_finished: int | None = Field(
        default=None,
        ge=0,
        le=MAX_SECONDS,
        description="Seconds from the job's end until it is deleted, with its pods; the MLflow "
        "run stays. Can be changed at any time. Default: it is kept.",
    )
    clean_pod_policy: CleanPodPolicy | None = Field(
        default=None,
        description="What is deleted when the job has ended: All its Jobs and pods, or nothing. "
        "Pods that still run are ended either way, so that Running and None do the same. "
        "Default: Running.",
    )
    checkpoint: Checkpoint | None = Field(
        default=None,
        json_schema_extra=CHECKPOINT_RULES,
        description="Where checkpoints are kept between attempts.",
    )
    stall_policy: StallPolicy | None = Field(
        default=None, description="What is done when training makes no step."
    )
