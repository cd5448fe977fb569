"""What a model is like: its validation metrics and its samples."""

from pathlib import Path
from typing import TYPE_CHECKING

from trainingjob_trainer.parallel import OfFirstRank, drawn_alike
from trainingjob_trainer.samples import save_samples
from trainingjob_trainer.training import Training

if TYPE_CHECKING:
    from trainingjob_trainer.samples import Draw


def draw_samples(training: Training, epoch: int) -> None:
    """Draw the samples of an epoch, on rank 0, and pass them on. All ranks come here."""
    place, parallel = training.place, training.parallel
    first = place.rank == 0
    draw: Draw = training.task.draw_samples
    validation = training.loaders.validation
    if parallel.joint:
        draw = drawn_alike(draw, first=first)
        validation = OfFirstRank(validation, training.ranks, first=first)
    elif not first:
        return
    model, directory = training.stepper.model, training.samples_dir
    file = save_samples(draw, model, validation, place.device, epoch, directory)
    if file is not None:
        training.hooks.samples_drawn(Path(file), epoch)
