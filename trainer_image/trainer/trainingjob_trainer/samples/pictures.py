"""The picture of what a model says about images."""

import io
from collections.abc import Mapping

from torch import Tensor, nn

from trainingjob_trainer.sample_grid import draw_grid
from trainingjob_trainer.samples.reading import predict
from trainingjob_trainer.task import SampleFile


def draw_picture(model: nn.Module, batch: Mapping[str, Tensor], epoch: int) -> SampleFile:
    """Return a PNG of the first images of a batch; raises as `predict` does."""
    content = io.BytesIO()
    draw_grid(predict(model, batch), f"Epoch {epoch}").save(content, format="PNG", optimize=True)
    return SampleFile(".png", content.getvalue())
