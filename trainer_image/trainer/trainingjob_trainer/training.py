"""The parts of one training, put together."""

import math
import time
from dataclasses import dataclass
from pathlib import Path

from trainingjob_agent.exporter import TrainingMetrics

from trainingjob_trainer.best import BestEpoch
from trainingjob_trainer.checkpoint import Checkpointer
from trainingjob_trainer.distributed import Ranks
from trainingjob_trainer.epochs import Epochs
from trainingjob_trainer.finite import FiniteLosses
from trainingjob_trainer.options import RunOptions
from trainingjob_trainer.parallel import Parallel
from trainingjob_trainer.profiling import StepProfiler
from trainingjob_trainer.progress import Means, Progress
from trainingjob_trainer.random_state import Generators, seed_everything
from trainingjob_trainer.reporting import Reporter
from trainingjob_trainer.resume import Setup
from trainingjob_trainer.state import TrainingState
from trainingjob_trainer.stepping import Stepper
from trainingjob_trainer.surroundings import Hooks, Place
from trainingjob_trainer.task import Loaders, Task
from trainingjob_trainer.throughput import Throughput, peak_flops_of
from trainingjob_trainer.validation import Validation


@dataclass(frozen=True, slots=True)
class Training:
    """What the loop works with on this rank.

    Attributes:
        means: of the training metrics in this epoch.
        state: all that a checkpoint holds.
        checkpointer: None: no checkpoints are kept.
        directory: of the job, for what is uploaded from there.
    """

    task: Task
    loaders: Loaders
    options: RunOptions
    place: Place
    parallel: Parallel
    hooks: Hooks
    ranks: Ranks
    epochs: Epochs
    progress: Progress
    best: BestEpoch
    stepper: Stepper
    reporter: Reporter
    validation: Validation
    means: Means
    finite: FiniteLosses
    generators: Generators
    state: TrainingState
    checkpointer: Checkpointer | None
    profiler: StepProfiler
    directory: Path


def prepare(
    task: Task,
    loaders: Loaders,
    options: RunOptions,
    place: Place,
    parallel: Parallel,
    *,
    setup: Setup,
    metrics: TrainingMetrics,
    hooks: Hooks,
    directory: Path,
    checkpointer: Checkpointer | None = None,
) -> Training:
    """Build the model and all that trains it. All ranks come here, once they have joined.

    Raises:
        OptionError: an option does not fit the data or the machine.
        ValueError: the training loader is empty.
    """
    epochs = Epochs(loaders.train, options.steps_per_epoch, options.accumulate, place.world_size)
    seed_everything(options.seed)
    steps = math.ceil(epochs.batches / options.accumulate)
    progress = Progress(options.epochs, steps, time.monotonic())
    best = BestEpoch(options.best_metric, options.best_mode, options.patience)
    ranks = Ranks()
    stepper = Stepper(task, options, place.device, progress.total_steps, parallel, ranks)
    # Each rank draws its own noise (dropout, augmentation) from here on.
    seed_everything(options.seed + place.rank)
    means, generators = Means(), Generators(place.device, (loaders.train, loaders.validation))
    return Training(
        task=task,
        loaders=loaders,
        options=options,
        place=place,
        parallel=parallel,
        hooks=hooks,
        ranks=ranks,
        epochs=epochs,
        progress=progress,
        best=best,
        stepper=stepper,
        reporter=_reporter(task, options, place, progress, metrics, hooks, ranks),
        validation=Validation(
            task, stepper, loaders.validation, parallel, ranks, place.device, alive=hooks.alive
        ),
        means=means,
        finite=FiniteLosses(options.max_not_finite, ranks),
        generators=generators,
        state=TrainingState(
            setup=setup,
            shared={"progress": progress, "best": best, **stepper.parts},
            own={"means": means, "data": epochs, "generators": generators},
        ),
        checkpointer=checkpointer,
        profiler=_profiler(options, place, hooks, directory),
        directory=directory,
    )


def _reporter(
    task: Task,
    options: RunOptions,
    place: Place,
    progress: Progress,
    metrics: TrainingMetrics,
    hooks: Hooks,
    ranks: Ranks,
) -> Reporter:
    return Reporter(
        progress,
        metrics,
        hooks.log_metrics if place.rank == 0 else None,
        ranks,
        place.device,
        every_seconds=options.report_seconds,
        throughput=_throughput(task, options, place),
    )


def _profiler(options: RunOptions, place: Place, hooks: Hooks, directory: Path) -> StepProfiler:
    return StepProfiler(
        options.profile_steps if place.rank == 0 else None,
        place.device,
        directory / "profile",
        hooks.trace_written,
    )


def _throughput(task: Task, options: RunOptions, place: Place) -> Throughput:
    given = options.peak_teraflops
    known = peak_flops_of(place.device, options.precision) if given is None else given * 1e12
    return Throughput(task.flops_per_sample(), known, place.world_size)
