"""Stores the samples of one epoch, whatever happens."""

import logging
import random
import tempfile
import traceback
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import torch
from prometheus_client import Counter
from torch import nn

from trainingjob_trainer.batches import place
from trainingjob_trainer.parts import generators_of, set_state, state_of
from trainingjob_trainer.samples.pictures import draw_picture
from trainingjob_trainer.task import Batch, SampleFile

sample_errors = Counter(
    "trainingjob_sample_errors", "Epochs whose samples could not be drawn", registry=None
)

Draw = Callable[[nn.Module, Batch, int], SampleFile | None]
"""Gets the model in evaluation mode, a batch on its device, and the epoch."""

_logger = logging.getLogger(__name__)


def save_sample_predictions(
    model: nn.Module,
    val_loader: Iterable[Batch],
    device: torch.device | str,
    epoch: int,
    model_dir: str | Path | None = None,
) -> str | None:
    """Draw the first validation images with target and prediction into a PNG, as `save_samples`.

    A classification shows its confidence, an image-to-image task its mean absolute error.

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
    return save_samples(draw_picture, model, val_loader, device, epoch, model_dir)


def save_samples(
    draw: Draw,
    model: nn.Module,
    val_loader: Iterable[Batch],
    device: torch.device | str,
    epoch: int,
    model_dir: str | Path | None = None,
) -> str | None:
    """Have the samples of an epoch drawn from the first validation batch, and store them.

    Training is not disturbed: modes of all modules, random generators and gradients stay as they
    were, and no memory is held. An error is logged with its cause and counted, never raised.

    Returns:
        The path of the file `epoch_001` with the suffix of its kind, or None if there is none.
    """
    try:
        on = torch.device(device)
        with _undisturbed(model, val_loader, on):
            sample = draw(model, place(_first(val_loader), on), epoch)
        if sample is None:
            return None
        directory = Path(model_dir or Path(tempfile.gettempdir()) / "trainingjob-samples")
        return str(_write(sample, directory / f"epoch_{epoch:03d}{sample.suffix}"))
    except Exception as error:
        # Whoever keeps the log record must not keep the batch and its activations with it.
        traceback.clear_frames(error.__traceback__)
        sample_errors.inc()
        _logger.exception("no sample predictions for epoch %d", epoch)
        return None


def _first(loader: Iterable[Batch]) -> Batch:
    """Raises ValueError where there is none."""
    for batch in loader:
        return batch
    raise ValueError("the validation loader is empty")


def _write(sample: SampleFile, file: Path) -> Path:
    """Write a file that is there whole or not at all."""
    file.parent.mkdir(parents=True, exist_ok=True)
    unfinished = file.with_suffix(".tmp")
    try:
        unfinished.write_bytes(sample.content)
        unfinished.replace(file)
    finally:
        unfinished.unlink(missing_ok=True)
    return file


@contextmanager
def _undisturbed(model: nn.Module, loader: object, device: torch.device) -> Iterator[None]:
    """Evaluate without gradients; put back the mode of each module and all random generators."""
    modes = {module: module.training for module in model.modules()}
    generators = [(one, state_of(one)) for _, one in generators_of(loader)]
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
            for generator, state in generators:
                set_state(generator, state)
