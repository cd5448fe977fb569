"""Draws and stores the picture of one epoch, whatever happens."""

import logging
import random
import tempfile
import traceback
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import torch
from prometheus_client import Counter
from torch import nn

from trainingjob_trainer.sample_grid import draw_grid
from trainingjob_trainer.samples.reading import predict
from trainingjob_trainer.task import Batch

sample_errors = Counter(
    "trainingjob_sample_errors", "Epochs whose samples could not be drawn", registry=None
)

_logger = logging.getLogger(__name__)


def save_sample_predictions(
    model: nn.Module,
    val_loader: Iterable[Batch],
    device: torch.device | str,
    epoch: int,
    model_dir: str | Path | None = None,
) -> str | None:
    """Draw the first validation images with target and prediction into a PNG.

    A classification shows its confidence, an image-to-image task its mean absolute error.
    Training is not disturbed: modes of all modules, random generators and gradients stay as they
    were, and no memory is held. An error is logged with its cause and counted, never raised.

    Args:
        model: gives class scores (N, classes) or images (N, C, H, W) for images (N, C, H, W);
            one column is the score of class 1, as for BCEWithLogitsLoss.
        val_loader: batches, dicts with "image" and, for the target, "label" (N,) or "target"
            (N, C, H, W).
        device: where the model is.
        epoch: from 1; names the file `epoch_001.png`.
        model_dir: where the file goes; a directory for temporary files by default.

    Returns:
        The path of the file, or None if there is none.
    """
    try:
        directory = Path(model_dir or Path(tempfile.gettempdir()) / "trainingjob-samples")
        place = torch.device(device)
        with _undisturbed(model, val_loader, place):
            samples = predict(model, val_loader, place)
        image = draw_grid(samples, f"Epoch {epoch}")
        directory.mkdir(parents=True, exist_ok=True)
        file = directory / f"epoch_{epoch:03d}.png"
        unfinished = file.with_suffix(".tmp")
        try:
            image.save(unfinished, format="PNG", optimize=True)
            unfinished.replace(file)
        finally:
            unfinished.unlink(missing_ok=True)
    except Exception as error:
        # Whoever keeps the log record must not keep the batch and its activations with it.
        traceback.clear_frames(error.__traceback__)
        sample_errors.inc()
        _logger.exception("no sample predictions for epoch %d", epoch)
        return None
    return str(file)


@contextmanager
def _undisturbed(model: nn.Module, loader: object, device: torch.device) -> Iterator[None]:
    """Evaluate without gradients; put back the mode of each module and all random generators."""
    modes = {module: module.training for module in model.modules()}
    generators = {generator: generator.get_state() for generator in _generators(loader)}
    python_state, numpy_state = random.getstate(), np.random.get_state()
    devices = [device] if device.type == "cuda" else []
    with torch.random.fork_rng(devices=devices), torch.no_grad():
        try:
            model.eval()
            yield
        finally:
            for module, training in modes.items():
                module.training = training
            random.setstate(python_state)
            np.random.set_state(numpy_state)
            for generator, state in generators.items():
                generator.set_state(state)


def _generators(loader: object) -> Iterator[torch.Generator]:
    """Return those of a DataLoader: to begin a pass draws from them."""
    for owner in (loader, getattr(loader, "sampler", None)):
        generator = getattr(owner, "generator", None)
        if isinstance(generator, torch.Generator):
            yield generator
