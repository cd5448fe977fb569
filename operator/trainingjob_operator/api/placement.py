from pydantic import Field

from trainingjob_operator.api.base import MAX_SECONDS, ApiModel
from trainingjob_operator.api.kubernetes_types import (
    Affinity,
    Annotations,
    Labels,
    NodeSelector,
    Tolerations,
    TopologySpreadConstraints,
)
from trainingjob_operator.api.pod_rules import (
    NODE_SELECTOR_RULES,
    QUEUE_LABEL_RULE,
    metadata_rules,
    object_name_rules,
)

MAX_NAME_LENGTH = 253


class PodPlacement(ApiModel):
    """The part of the spec that says where and as whom the pods run."""

    node_selector: NodeSelector = Field(
        default={},
        json_schema_extra=NODE_SELECTOR_RULES,
        description="Labels that a node must have to run the pods.",
    )
    tolerations: Tolerations = Field(
        default=[],
        description="Node taints that the pods tolerate.",
    )
    affinity: Affinity | None = Field(
        default=None,
        description="Rules that attract the pods to nodes or to other pods, or keep them apart.",
    )
    topology_spread_constraints: TopologySpreadConstraints = Field(
        default=[],
        description="How the pods are spread over zones, racks or nodes. Without a labelSelector "
        "the pods of the attempt are counted.",
    )
    priority_class_name: str | None = Field(
        default=None,
        min_length=1,
        max_length=MAX_NAME_LENGTH,
        json_schema_extra=object_name_rules("priorityClassName"),
        description="PriorityClass of the pods. Default: the cluster's default class.",
    )
    scheduler_name: str | None = Field(
        default=None,
        min_length=1,
        max_length=MAX_NAME_LENGTH,
        json_schema_extra=object_name_rules("schedulerName"),
        description="Scheduler that places the pods. Default: default-scheduler.",
    )
    runtime_class_name: str | None = Field(
        default=None,
        min_length=1,
        max_length=MAX_NAME_LENGTH,
        json_schema_extra=object_name_rules("runtimeClassName"),
        description="RuntimeClass of the pods, e.g. nvidia. Default: the node's own runtime.",
    )
    service_account_name: str | None = Field(
        default=None,
        min_length=1,
        max_length=MAX_NAME_LENGTH,
        json_schema_extra=object_name_rules("serviceAccountName"),
        description="ServiceAccount of the pods. Default: default.",
    )
    job_labels: Labels = Field(
        default={},
        json_schema_extra=metadata_rules("jobLabels", QUEUE_LABEL_RULE),
        description="Labels added to the batch/v1 Job of every attempt, besides those of the "
        "TrainingJob that are passed on. Keys of the trainingjob.dev/ domain are refused.",
    )
    job_annotations: Annotations = Field(
        default={},
        json_schema_extra=metadata_rules("jobAnnotations"),
        description="Annotations added to the batch/v1 Job of every attempt, besides those of the "
        "TrainingJob that are passed on. Keys of the trainingjob.dev/ domain are refused.",
    )
    pod_labels: Labels = Field(
        default={},
        json_schema_extra=metadata_rules("podLabels"),
        description="Labels added to every pod. Keys of the trainingjob.dev/ domain are refused.",
    )
    pod_annotations: Annotations = Field(
        default={},
        json_schema_extra=metadata_rules("podAnnotations"),
        description="Annotations added to every pod. "
        "Keys of the trainingjob.dev/ domain are refused.",
    )
    termination_grace_period_seconds: int = Field(
        default=60,
        ge=0,
        le=MAX_SECONDS,
        description="Seconds between SIGTERM and SIGKILL when a pod is stopped. Default: 60.",
    )
