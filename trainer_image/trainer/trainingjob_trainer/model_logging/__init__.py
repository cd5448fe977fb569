"""The trained model, in the run, with signature and input example."""

from trainingjob_trainer.model_logging.uploading import (
    AbandonedError,
    TrainedModel,
    log_model,
    remove_unfinished,
)

__all__ = ["AbandonedError", "TrainedModel", "log_model", "remove_unfinished"]
