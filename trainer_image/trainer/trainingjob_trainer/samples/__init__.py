"""What the model says about a few validation samples, one file for each epoch."""

from trainingjob_trainer.samples.pictures import draw_picture
from trainingjob_trainer.samples.saving import (
    Draw,
    sample_errors,
    save_sample_predictions,
    save_samples,
)

__all__ = ["Draw", "draw_picture", "sample_errors", "save_sample_predictions", "save_samples"]
