from typing import Annotated, Literal

from pydantic import Field

from trainingjob_operator.api.base import ApiModel
from trainingjob_operator.api.kubernetes_types import (
    Bytes,
    EnvFromSources,
    EnvVars,
    LocalObjectReferences,
    ResourceRequirements,
    VolumeMounts,
    Volumes,
)
from trainingjob_operator.api.pod_rules import resource_rules
from trainingjob_operator.api.rules import IMAGE_RULES

Argument = Annotated[str, Field(max_length=65536)]


class TrainerContainer(ApiModel):
    """The part of the spec that describes the trainer container and its volumes."""

    image: str = Field(
        default="",
        max_length=1024,
        json_schema_extra=IMAGE_RULES,
        description="Image of the trainer, e.g. docker.io/trainingjob/trainer:dev. Needed unless "
        "the job's runtime has one.",
    )
    image_pull_policy: Literal["Always", "IfNotPresent", "Never"] | None = Field(
        default=None,
        description="When to pull the image: Always, IfNotPresent or Never. "
        "Default: Always for the tag latest, otherwise IfNotPresent.",
    )
    image_pull_secrets: LocalObjectReferences = Field(
        default=[],
        description="Secrets of this namespace that give access to the image's registry.",
    )
    command: list[Argument] = Field(
        default=[],
        max_length=256,
        description="Replaces the image's entry point. Not run in a shell.",
    )
    agent: Literal["Image", "Inject"] | None = Field(
        default=None,
        description="Where the agent comes from, which sends system metrics, the cause of a "
        "failure and the log to the run. Image: from the image, where the command may run it. "
        "Inject: the operator brings it into the pod, with a Python of its own, and it runs the "
        "command. Default: Image, unless the operator's chart says Inject; that is for commands "
        "that do not run trainingjob-exec themselves.",
    )
    args: list[Argument] = Field(
        default=[],
        max_length=1024,
        description="Arguments of the entry point, e.g. [run, mnist, --epochs, '5'].",
    )
    working_dir: str | None = Field(
        default=None,
        max_length=4096,
        description="Working directory of the container. Default: that of the image.",
    )
    env: EnvVars = Field(
        default=[],
        description="Environment variables of the container. Names that the operator sets itself "
        "(TRAININGJOB_* but TRAININGJOB_OPTION_* and TRAININGJOB_SETTING_*, PET_*, MLFLOW_RUN_ID, "
        "MLFLOW_TRACKING_URI, MLFLOW_EXPERIMENT_ID) are refused.",
    )
    env_from: EnvFromSources = Field(
        default=[],
        description="ConfigMaps and Secrets whose every key becomes an environment variable. "
        "The operator's own variables take precedence.",
    )
    resources_per_node: ResourceRequirements = Field(
        default={},
        json_schema_extra=resource_rules("spec.resourcesPerNode"),
        description="Requests and limits of each of the numNodes pods. "
        "Request GPUs as limits, e.g. nvidia.com/gpu: 1, and devices of resourceClaims as "
        "claims.",
    )
    volumes: Volumes = Field(
        default=[],
        description="Volumes that volumeMounts may name. Only kinds which the restricted "
        "Pod Security Standard allows; no hostPath.",
    )
    volume_mounts: VolumeMounts = Field(
        default=[],
        description="Where the volumes appear in the container.",
    )
    read_only_root_filesystem: bool | None = Field(
        default=None,
        description="Let the container write only to its volumes. An emptyDir is mounted at /tmp, "
        "unless volumeMounts mount one there, and HOME is /tmp, unless env sets it. "
        "Default: false.",
    )
    shared_memory: Bytes | None = Field(
        default=None,
        description="Size of an in-memory volume at /dev/shm for data loader workers, e.g. 2Gi. "
        "Counts against the memory limit. Default: the container runtime's 64Mi.",
    )
