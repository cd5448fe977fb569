from typing import Annotated

from pydantic import Field

from trainingjob_operator.api.base import ApiModel
from trainingjob_operator.api.rules import (
    EXPERIMENT_RULES,
    TAG_RULES,
    TRACKING_URI_RULES,
    WORKSPACE_RULES,
)


class Mlflow(ApiModel):
    """Which MLflow run the job reports to."""

    tracking_uri: str | None = Field(
        default=None,
        max_length=2048,
        json_schema_extra=TRACKING_URI_RULES,
        description="MLflow server, http:// or https://. It must be on the operator's allow-list. "
        "Default: the operator's own server.",
    )
    experiment: str | None = Field(
        default=None,
        max_length=256,
        json_schema_extra=EXPERIMENT_RULES,
        description="Experiment of the run, created when missing. It must match the operator's "
        "mlflow.experimentPattern, if there is one. Default: the namespace's name, or what the "
        "pattern makes of it.",
    )
    workspace: str | None = Field(
        default=None,
        min_length=2,
        max_length=63,
        json_schema_extra=WORKSPACE_RULES,
        description="Workspace of the experiment, on a server that has workspaces. Default: that "
        "of the namespace by the operator's settings, else the server's default one.",
    )
    run_name: str | None = Field(
        default=None,
        min_length=1,
        max_length=250,
        description="Name of the run. Default: the job's name.",
    )
    tags: dict[str, Annotated[str, Field(max_length=5000)]] = Field(
        default={},
        max_length=64,
        json_schema_extra=TAG_RULES,
        description="Tags of the run. Its page shows mlflow.user, mlflow.note.content (the "
        "description, in Markdown) and mlflow.source.*; other keys that start with mlflow. or "
        "trainingjob. are refused.",
    )


class Monitoring(ApiModel):
    """The monitor thread of the trainer and its Prometheus exporter."""

    enabled: bool = Field(
        default=True,
        description="Log system and GPU metrics and serve them to Prometheus. Default: true.",
    )
    interval_seconds: int = Field(
        default=10,
        ge=1,
        le=3600,
        description="Seconds from one sample of the system metrics to the next. Default: 10.",
    )
    port: int = Field(
        default=9400,
        ge=1024,
        le=65535,
        description="Port of the Prometheus exporter in each pod. Default: 9400.",
    )
