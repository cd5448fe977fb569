from enum import StrEnum
from typing import Annotated, Any

from pydantic import Field, WithJsonSchema

from trainingjob_operator.api.base import ApiModel
from trainingjob_operator.api.pod_rules import object_name_rules

MAX_NAME_LENGTH = 253
# What a job says for itself only: a runtime has no default for it, and every job may set it.
OF_THE_JOB = ("runtimeRef", "suspend", "stop", "managedBy")
# The names of fields in `allow`, with those inside of them: `mlflow.tags`.
ALLOWED_LENGTH = 253
MAX_ALLOWED = 128


class RuntimeKind(StrEnum):
    """The kinds of runtimes: of one namespace, and of all."""

    TRAINING_RUNTIME = "TrainingRuntime"
    CLUSTER_TRAINING_RUNTIME = "ClusterTrainingRuntime"


class RuntimeRef(ApiModel):
    """The runtime that a job asks for."""

    kind: RuntimeKind = Field(
        default=RuntimeKind.CLUSTER_TRAINING_RUNTIME,
        description="TrainingRuntime, of the job's namespace, or ClusterTrainingRuntime. "
        "Default: ClusterTrainingRuntime.",
    )
    name: str = Field(
        min_length=1,
        max_length=MAX_NAME_LENGTH,
        json_schema_extra=object_name_rules("runtimeRef.name"),
        description="Name of the runtime.",
    )


# The CRD generator puts the schemas of crd/runtimes.py there.
Defaults = Annotated[dict[str, Any], WithJsonSchema({"type": "object"})]
PodTemplate = Annotated[dict[str, Any], WithJsonSchema({"type": "object"})]


class TrainingRuntimeSpec(ApiModel):
    """What a platform team gives the jobs of a runtime."""

    defaults: Defaults = Field(
        default={},
        description="Values for fields of the spec of a TrainingJob. What a job sets itself wins: "
        "objects are merged by field, lists by the name of their entries, tolerations and envFrom "
        "are added up, other lists are replaced.",
    )
    allow: list[Annotated[str, Field(max_length=ALLOWED_LENGTH)]] | None = Field(
        default=None,
        max_length=MAX_ALLOWED,
        description="Fields that a job with this runtime may set, e.g. [args, mlflow.tags]; it has "
        "Failed if it sets another one. runtimeRef, suspend, stop and managedBy are always "
        "allowed. Default: all fields.",
    )
    template: PodTemplate = Field(
        default={},
        description="Pod template (core/v1 PodTemplateSpec) that is laid over the pods of a job, "
        "merged as above; the container trainer is the training. No job overrides it. Here, and "
        "only here, pods may have more than the restricted Pod Security Standard allows.",
    )


class RuntimeStatus(ApiModel):
    """The runtime of a job as it was when the job first saw it; used for all of its attempts."""

    kind: RuntimeKind = Field(description="TrainingRuntime or ClusterTrainingRuntime.")
    name: str = Field(max_length=MAX_NAME_LENGTH, description="Name of the runtime.")
    uid: str = Field(default="", max_length=128, description="metadata.uid of the runtime.")
    generation: int = Field(default=0, ge=0, description="metadata.generation of the runtime.")
    sources: dict[str, str] = Field(
        default={},
        description="Where each field of the job's spec comes from: Job, Runtime or "
        "JobAndRuntime. What is not here is the operator's default.",
    )
    spec: TrainingRuntimeSpec = Field(
        default=TrainingRuntimeSpec(), description="The runtime's spec as it was then."
    )
