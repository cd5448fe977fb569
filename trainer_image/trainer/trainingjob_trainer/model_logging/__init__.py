"""The trained model, in the run, with signature and input example."""

from trainingjob_trainer.model_logging.background import ModelNotLoggedError, ModelThread
from trainingjob_trainer.model_logging.uploading import (
    AbandonedError,
    NotRegisteredError,
    TrainedModel,
    log_model,
    remove_unfinished,
)

__all__ = [
    "AbandonedError",
    "ModelNotLoggedError",
    "ModelThread",
    "NotRegisteredError",
    "TrainedModel",
    "log_model",
    "remove_unfinished",
]
