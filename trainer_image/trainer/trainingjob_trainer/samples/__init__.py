"""A picture of what the model says about a few validation images, one for each epoch."""

from trainingjob_trainer.samples.saving import sample_errors, save_sample_predictions

__all__ = ["sample_errors", "save_sample_predictions"]
