"""What a model is like: its validation metrics and its samples."""

import logging
from pathlib import Path
from typing import TYPE_CHECKING

from trainingjob_trainer.checkpoint import CheckpointStore
from trainingjob_trainer.initial import load_initial_weights
from trainingjob_trainer.parallel import OfFirstRank, drawn_alike
from trainingjob_trainer.samples import save_samples
from trainingjob_trainer.surroundings import TrainingStoppedError
from trainingjob_trainer.training import Training

if TYPE_CHECKING:
    from trainingjob_trainer.samples import Draw

_logger = logging.getLogger(__name__)


def evaluate(training: Training, checkpoint_dir: Path | None) -> None:
    """Report validation metrics and samples of a model that is there, and train nothing.

    The model is that of --initial-weights, else of the newest checkpoint, else as the task builds
    it. All ranks come here.

    Raises:
        TrainingStoppedError: asked to stop.
        OptionError: the weights cannot be read, or are those of another model.
        ValueError: no rank has validation batches.
    """
    ranks, first = training.ranks, training.place.rank == 0
    source = training.options.initial_weights or ranks.of_first(_newest(checkpoint_dir))
    if source is None:
        _logger.warning("evaluates the model as the task builds it: no --initial-weights given")
    else:
        load_initial_weights(training.stepper.model, source, ranks, first=first)

    def stop_if_asked() -> None:
        training.hooks.alive()
        if any(ranks.any_before(training.hooks.stop_requested())):
            raise TrainingStoppedError

    values = training.validation.run(stop_if_asked)
    if not values:
        raise ValueError("there is nothing to evaluate: no rank has a validation batch")
    training.progress.end_early()
    training.reporter.evaluated(values)
    draw_samples(training, epoch=0)


def _newest(checkpoint_dir: Path | None) -> str | None:
    """Return the directory of the checkpoints, if there are any."""
    if checkpoint_dir is None:
        return None
    store = CheckpointStore(checkpoint_dir / "checkpoints", keep=1)
    return str(store.directory) if store.steps() else None


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
    model, directory = training.stepper.model, training.directory / "samples"
    file = save_samples(draw, model, validation, place.device, epoch, directory)
    if file is not None:
        training.hooks.samples_drawn(Path(file), epoch)
