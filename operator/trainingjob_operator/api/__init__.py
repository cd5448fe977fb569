from trainingjob_operator.api.base import (
    GROUP,
    KIND,
    MAX_SECONDS,
    MAX_WHOLE,
    PLURAL,
    VERSION,
    ApiModel,
)
from trainingjob_operator.api.initializers import Initializer
from trainingjob_operator.api.lifecycle import (
    MANAGER,
    Checkpoint,
    ClaimRetention,
    CleanPodPolicy,
    Retry,
    StallAction,
    StallPolicy,
)
from trainingjob_operator.api.resource import ObjectMeta, TrainingJob
from trainingjob_operator.api.runtime import (
    OF_THE_JOB,
    RuntimeKind,
    RuntimeRef,
    RuntimeStatus,
    TrainingRuntimeSpec,
)
from trainingjob_operator.api.spec import TrainingJobSpec
from trainingjob_operator.api.status import (
    MESSAGE_LIMIT,
    Attempt,
    Condition,
    Failure,
    Goodput,
    MlflowStatus,
    Outcome,
    Progress,
    State,
    TrainingJobStatus,
)
from trainingjob_operator.api.tracking import Mlflow, Monitoring

__all__ = [
    "GROUP",
    "KIND",
    "MANAGER",
    "MAX_SECONDS",
    "MAX_WHOLE",
    "MESSAGE_LIMIT",
    "OF_THE_JOB",
    "PLURAL",
    "VERSION",
    "ApiModel",
    "Attempt",
    "Checkpoint",
    "ClaimRetention",
    "CleanPodPolicy",
    "Condition",
    "Failure",
    "Goodput",
    "Initializer",
    "Mlflow",
    "MlflowStatus",
    "Monitoring",
    "ObjectMeta",
    "Outcome",
    "Progress",
    "Retry",
    "RuntimeKind",
    "RuntimeRef",
    "RuntimeStatus",
    "StallAction",
    "StallPolicy",
    "State",
    "TrainingJob",
    "TrainingJobSpec",
    "TrainingJobStatus",
    "TrainingRuntimeSpec",
]
