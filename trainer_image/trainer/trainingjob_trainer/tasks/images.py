"""Tasks on pictures."""

from typing import NotRequired, TypedDict

from torch import Tensor, nn

from trainingjob_trainer.samples import draw_picture
from trainingjob_trainer.task import Batch, SampleFile, Task

_EXAMPLES = 4


class ImageBatch(TypedDict):
    """One batch: `image` (N, C, H, W), floating, and what the model is to say of it.

    `label` (N,), integral class indices, or `target` (N, C, H, W), another image.
    """

    image: Tensor
    label: NotRequired[Tensor]
    target: NotRequired[Tensor]


class ImageTask(Task):
    """A task whose model takes images: its batches are like `ImageBatch`, its samples pictures."""

    def forward(self, model: nn.Module, batch: Batch) -> Tensor:
        """Run the model on the images."""
        output: Tensor = model(batch["image"])
        return output

    def count(self, batch: Batch) -> int:
        """Return the number of images."""
        return len(batch["image"])

    def example(self, batch: Batch) -> Tensor:
        """Return the first images."""
        images: Tensor = batch["image"]
        return images[:_EXAMPLES]

    def draw_samples(self, model: nn.Module, batch: Batch, epoch: int) -> SampleFile:
        """Draw the first images, with targets and predictions, as a PNG."""
        return draw_picture(model, batch, epoch)
