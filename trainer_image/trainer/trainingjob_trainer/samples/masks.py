"""What a segmentation says about images: a class for each pixel."""

import colorsys
from math import isfinite

import numpy as np
import torch
from torch import Tensor

from trainingjob_trainer.sample_grid import Pixels, Sample, Tile

IGNORED = 255
"""The class of pixels that do not count, as in PASCAL VOC and Cityscapes."""

_GREY = (128.0, 128.0, 128.0)
_BYTES = (0.0, 255.0)
_TURN = 0.618
"""Of the circle of hues, from one class to the next: neighbours differ, and few come twice."""


def segmented(images: Tensor, output: Tensor, masks: Tensor) -> list[Sample]:
    """Return image, true and predicted mask of each image, with how well they agree.

    Args:
        images: (N, C, H, W), on the CPU.
        output: scores (N, classes, H, W), or (N, 1, H, W) of class 1 alone, on the CPU.
        masks: classes (N, H, W), integral.
    """
    predicted = output.argmax(dim=1) if output.shape[1] > 1 else (output[:, 0] > 0).long()
    samples = []
    for image, said, scores, mask in zip(images, predicted, output, masks.cpu(), strict=False):
        tiles = (
            Tile(image.numpy(), "input"),
            Tile(_coloured(mask), "target", _BYTES),
            Tile(_coloured(said), "prediction", _BYTES),
        )
        samples.append(Sample(tiles, ("", _agreement(mask, said, scores))))
    return samples


def _agreement(mask: Tensor, said: Tensor, scores: Tensor) -> str:
    """Return the share of right pixels and the mean IoU of the classes that occur."""
    if mask.shape != said.shape:
        return f"target {tuple(mask.shape)}, prediction {tuple(said.shape)}"
    if not isfinite(float(scores.sum())):
        return "scores not finite"
    counted = mask != IGNORED
    truth, guess = mask[counted], said[counted]
    if not len(truth):
        return "no pixel counts"
    overlaps = [
        float(((truth == one) & (guess == one)).sum() / ((truth == one) | (guess == one)).sum())
        for one in np.unique(torch.cat([truth, guess]).numpy())
    ]
    right = float((truth == guess).float().mean())
    return f"{100 * right:.1f} % right, mean IoU {sum(overlaps) / len(overlaps):.2f}"


def _coloured(classes: Tensor) -> Pixels:
    """Paint each class in its colour: (H, W) → (3, H, W) in 0…255."""
    painted = np.zeros((3, *classes.shape), dtype=np.float32)
    for one in np.unique(classes.numpy()).tolist():
        painted[:, (classes == one).numpy()] = np.array(_colour_of(one))[:, None]
    return painted


def _colour_of(one: int) -> tuple[float, float, float]:
    """Return black for class 0, grey for what does not count, and some hue for each other."""
    if one == 0:
        return (0.0, 0.0, 0.0)
    if one < 0 or one == IGNORED:
        return _GREY
    red, green, blue = colorsys.hsv_to_rgb((one * _TURN) % 1.0, 0.75, 1.0)
    return (255 * red, 255 * green, 255 * blue)
