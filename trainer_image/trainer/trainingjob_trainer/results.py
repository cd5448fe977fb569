"""What a training leaves: its models, and an example of what they take."""

import logging

import torch
from torch import Tensor

from trainingjob_trainer.loop import TrainingLoop
from trainingjob_trainer.model_logging import TrainedModel
from trainingjob_trainer.training import Training

_logger = logging.getLogger(__name__)


def models_of(loop: TrainingLoop, registered_as: str | None) -> list[TrainedModel]:
    """Return what is to be in MLflow, on rank 0. All ranks come here.

    The last one, which is the best, is to be a version of `registered_as`.
    """
    final = loop.final_model()
    load_best = None
    try:
        load_best = loop.find_best_model()
    except Exception:
        _logger.exception("no best model in MLflow: it cannot be read")
    if final is None:
        return []
    if load_best is None:
        return [TrainedModel("model", final, loop.progress.step, registered_as)]
    return [
        TrainedModel("model", final, loop.progress.step),
        # In the place of the final one, once that is in MLflow.
        TrainedModel("best_model", final, loop.best.step, registered_as, load_best),
    ]


def example_of(training: Training) -> Tensor | None:
    """Return a few inputs to describe a model by; None if none can be had."""
    try:
        with torch.no_grad():
            batch = next(iter(training.loaders.validation), None)
        if batch is None:
            _logger.warning("only weights go to MLflow: there is no validation batch")
            return None
        example = training.task.example(batch)
    except Exception:
        _logger.exception("only weights go to MLflow: the task gives no example of its inputs")
        return None
    if example is None:
        _logger.warning("only weights go to MLflow: %s.example gives none", training.task.name)
    return example
