from typing import Literal

from pydantic import Field

from trainingjob_operator.api.base import ApiModel, Timestamp
from trainingjob_operator.api.spec import TrainingJobSpec
from trainingjob_operator.api.status import TrainingJobStatus


class ObjectMeta(ApiModel):
    """The part of metav1.ObjectMeta that the operator reads."""

    name: str
    namespace: str = ""
    uid: str = ""
    generation: int = 0
    resource_version: str = ""
    creation_timestamp: Timestamp | None = None
    deletion_timestamp: Timestamp | None = None
    finalizers: list[str] = Field(default=[])
    labels: dict[str, str] = Field(default={})
    annotations: dict[str, str] = Field(default={})


class TrainingJob(ApiModel):
    """A PyTorch training and its MLflow run.

    Parses what the API server answers: `TrainingJob.model_validate(body)`; raises
    pydantic.ValidationError. `model_dump(mode="json", exclude_none=True)` gives the wire form.
    """

    api_version: Literal["trainingjob.dev/v1alpha1"] = "trainingjob.dev/v1alpha1"
    kind: Literal["TrainingJob"] = "TrainingJob"
    metadata: ObjectMeta
    spec: TrainingJobSpec = Field(
        description="What to train. Only what steers the life of the job can change.",
    )
    status: TrainingJobStatus = Field(
        default=TrainingJobStatus(),
        description="What became of the job. Written by the operator.",
    )
