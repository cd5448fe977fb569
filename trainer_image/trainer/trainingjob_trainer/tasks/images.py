"""Tasks on pictures."""

from collections.abc import Mapping
from typing import NotRequired, TypedDict

from torch import Tensor, nn

from trainingjob_trainer.samples import draw_picture
from trainingjob_trainer.task import Batch, Metric, SampleFile, Task

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

    def measure(self, metrics: Mapping[str, Metric], output: Tensor, batch: Batch) -> None:
        """Compare with the labels, or with the targets where there are no labels."""
        expected = batch["label"] if "label" in batch else batch["target"]
        for metric in metrics.values():
            metric.update(output, expected)

    def example(self, batch: Batch) -> Tensor:
        """Return the first images."""
        images: Tensor = batch["image"]
        return images[:_EXAMPLES]

    def draw_samples(self, model: nn.Module, batch: Batch, epoch: int) -> SampleFile:
        """Draw the first images, with targets and predictions, as a PNG."""
        return draw_picture(model, batch, epoch)
