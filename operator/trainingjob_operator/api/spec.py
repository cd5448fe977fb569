from typing import Annotated, Literal

from pydantic import ConfigDict, Field, WithJsonSchema

from trainingjob_operator.api.container import TrainerContainer
from trainingjob_operator.api.lifecycle import Lifecycle
from trainingjob_operator.api.placement import PodPlacement
from trainingjob_operator.api.pod import PodExtras
from trainingjob_operator.api.rules import PROCESS_COUNT_RULES
from trainingjob_operator.api.runtime import RuntimeRef
from trainingjob_operator.api.spec_rules import spec_rules
from trainingjob_operator.api.tracking import Mlflow, Monitoring

NumProcPerNode = Annotated[
    int | Literal["auto"],
    WithJsonSchema({"x-kubernetes-int-or-string": True, "maxLength": 16}),
]


class TrainingJobSpec(Lifecycle, PodPlacement, PodExtras, TrainerContainer):
    """What is trained, on how many nodes, and where it is tracked."""

    model_config = ConfigDict(json_schema_extra=spec_rules)

    runtime_ref: RuntimeRef | None = Field(
        default=None,
        description="Runtime that gives the job defaults and a pod template. What the job sets "
        "itself wins, as far as the runtime allows it. Default: the TrainingRuntime of the name "
        "default in the job's namespace, else the ClusterTrainingRuntime of that name, if any.",
    )
    num_nodes: int = Field(
        default=1,
        ge=1,
        le=1000,
        description="Number of pods that train together, one torchrun node each. Default: 1.",
    )
    num_proc_per_node: NumProcPerNode = Field(
        default="auto",
        json_schema_extra=PROCESS_COUNT_RULES,
        description="Processes of torchrun in each pod: a number from 1, or auto for one per "
        "nvidia.com/gpu (one where there is none; for MIG and other devices give the number). "
        "Default: auto.",
    )
    mlflow: Mlflow = Field(
        default=Mlflow(),
        description="The MLflow run of the job.",
    )
    monitoring: Monitoring = Field(
        default=Monitoring(),
        description="System metrics and the Prometheus exporter.",
    )
