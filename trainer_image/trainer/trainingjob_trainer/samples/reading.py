"""Turns what a model says about a batch into samples to draw."""

from collections.abc import Mapping
from math import isfinite

import torch
from torch import Tensor, nn

from trainingjob_trainer.sample_grid import MAX_TILES, Sample, Tile
from trainingjob_trainer.samples.masks import segmented

_TILES_OF_A_PAIR = 3


def predict(model: nn.Module, batch: Mapping[str, Tensor]) -> list[Sample]:
    """Ask the model about the first images of a batch, which is on its device.

    Raises:
        KeyError: the batch has no "image".
        ValueError: there are no images, or the model answers neither scores nor images.
        RuntimeError: the model cannot take the images, say because it is on another device.
    """
    targets = batch.get("target")
    masks = batch.get("mask")
    pairs = masks is not None or (targets is not None and targets.ndim == 4)
    images = batch["image"][: MAX_TILES // _TILES_OF_A_PAIR if pairs else MAX_TILES]
    if images.ndim != 4 or 0 in images.shape:
        raise ValueError(f"images must be (N, C, H, W) and not empty, got {tuple(images.shape)}")
    output = model(images).detach().float().cpu()
    images = images.detach().float().cpu()
    if output.ndim == 2:
        return _classified(images, output, batch.get("label"))
    if output.ndim == 4 and masks is not None:
        return segmented(images, output, masks)
    if output.ndim == 4:
        return _translated(images, output, targets if pairs else None)
    raise ValueError(
        "the model must give scores (N, classes) or images (N, C, H, W), "
        f"but gave {tuple(output.shape)}"
    )


def _classified(images: Tensor, output: Tensor, labels: Tensor | None) -> list[Sample]:
    if output.shape[1] == 1:
        # The score of class 1 alone, for a sigmoid: that is the softmax beside a score of 0.
        output = torch.cat([torch.zeros_like(output), output], dim=1)
    confidences, classes = output.softmax(dim=1).max(dim=1)
    samples = []
    for index, image in enumerate(images):
        target = None if labels is None else int(labels[index])
        wanted = "" if target is None else f"target {target}"
        confidence, predicted = float(confidences[index]), int(classes[index])
        known = isfinite(confidence)
        first = f"{predicted}  ({100 * confidence:.1f} %)" if known else "scores not finite"
        correct = predicted == target if known and target is not None else None
        samples.append(Sample((Tile(image.numpy()),), (first, wanted), correct))
    return samples


def _translated(images: Tensor, output: Tensor, targets: Tensor | None) -> list[Sample]:
    samples = []
    for index, (image, answer) in enumerate(zip(images, output, strict=True)):
        source = Tile(image.numpy(), "input")
        if targets is None:
            pair = (source, Tile(answer.numpy(), "prediction"))
            samples.append(Sample(pair, ("", "no target")))
            continue
        target = targets[index].detach().float().cpu()
        # One scale for both, or a prediction that is too dark would look like its target.
        both = _finite_range(target)
        tiles = (
            source,
            Tile(target.numpy(), "target", both),
            Tile(answer.numpy(), "prediction", both),
        )
        samples.append(Sample(tiles, ("", _error(target, answer))))
    return samples


def _error(target: Tensor, answer: Tensor) -> str:
    if target.shape != answer.shape:
        return f"target {tuple(target.shape)}, prediction {tuple(answer.shape)}"
    error = float((target - answer).abs().mean())
    return f"mean error {error:.4g}" if isfinite(error) else "not finite"


def _finite_range(pixels: Tensor) -> tuple[float, float] | None:
    finite = pixels[pixels.isfinite()]
    return (float(finite.min()), float(finite.max())) if finite.numel() else None
