"""Tasks on pictures."""

from collections.abc import Mapping
from typing import NotRequired, TypedDict

from torch import Tensor, nn

from trainingjob_trainer.samples import draw_picture
from trainingjob_trainer.task import Batch, Metric, SampleFile, Task

_EXAMPLES = 4


class ImageBatch(TypedDict):
    """One batch: `image` (N, C, H, W), floating, and what the model is to say of it.

    `label` (N,), integral class indices; `mask` (N, H, W), such an index for each pixel, of which
    255 does not count; or `target` (N, C, H, W), another image.
    """

    image: Tensor
    label: NotRequired[Tensor]
    mask: NotRequired[Tensor]
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
        """Compare with the labels, the masks or the targets, whichever there are."""
        expected = next(batch[name] for name in ("label", "mask", "target") if name in batch)
        for metric in metrics.values():
            metric.update(output, expected)

    def example(self, batch: Batch) -> Tensor:
        """Return the first images."""
        images: Tensor = batch["image"]
        return images[:_EXAMPLES]

    def draw_samples(self, model: nn.Module, batch: Batch, epoch: int) -> SampleFile:
        """Draw the first images, with targets and predictions, as a PNG."""
        return draw_picture(model, batch, epoch)
