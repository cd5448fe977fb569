"""The training loop."""

import logging
import math
import time
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any

import torch
from torch import nn
from trainingjob_agent.exporter import TrainingMetrics

from trainingjob_trainer import random_state
from trainingjob_trainer.best import BestEpoch
from trainingjob_trainer.best_model import BestModel
from trainingjob_trainer.checkpoint import Checkpointer
from trainingjob_trainer.distributed import Ranks, means_over_ranks, share_buffers
from trainingjob_trainer.epochs import Epochs
from trainingjob_trainer.options import OptionError, RunOptions
from trainingjob_trainer.progress import Means, Progress, check_same_batches
from trainingjob_trainer.reporting import Reporter, Timed
from trainingjob_trainer.resume import check_same_training, newest_usable, seen_by_all
from trainingjob_trainer.samples import save_samples
from trainingjob_trainer.stepping import Stepper
from trainingjob_trainer.surroundings import Hooks, Place, TrainingStoppedError
from trainingjob_trainer.task import Batch, Loaders, Task, length_of

_logger = logging.getLogger(__name__)


class TrainingLoop:
    """Trains one model on this rank; rank 0 reports."""

    def __init__(
        self,
        task: Task,
        loaders: Loaders,
        options: RunOptions,
        place: Place,
        *,
        metrics: TrainingMetrics,
        hooks: Hooks,
        samples_dir: Path,
        checkpointer: Checkpointer | None = None,
    ) -> None:
        self._epochs = Epochs(loaders.train, options.steps_per_epoch, options.accumulate)
        random_state.seed_everything(options.seed)
        steps = math.ceil(self._epochs.batches / options.accumulate)
        self.task = task
        self.loaders = loaders
        self.progress = Progress(options.epochs, steps, time.monotonic())
        self.best = BestEpoch(options.best_metric, options.best_mode, options.patience)
        self._setup = {
            "task": task.name,
            "world_size": place.world_size,
            "batch_size": options.batch_size,
            "accumulate": options.accumulate,
            "seed": options.seed,
        }
        self._accumulate = options.accumulate
        self._place = place
        self._hooks = hooks
        self._samples_dir = samples_dir
        self._checkpointer = checkpointer
        self._ranks = Ranks()
        self._stepper = Stepper(task, options, place.device, self.progress.total_steps)
        self.model = self._stepper.model
        self._reporter = Reporter(
            self.progress,
            metrics,
            hooks.log_metrics if place.rank == 0 else None,
            world_size=place.world_size,
            every_seconds=options.report_seconds,
        )
        # Each rank draws its own noise (dropout, augmentation) from here on.
        random_state.seed_everything(options.seed + place.rank)
        self._means = Means()
        self._epoch_random: dict[str, Any] | None = None
        self._validation_random: dict[str, Any] | None = None
        self._resumed: dict[str, Any] | None = None
        self._best_model = BestModel()

    def run(self) -> None:
        """Train all epochs, from the newest checkpoint if there is one.

        Raises:
            TrainingStoppedError: asked to stop; the step under way was finished, and has a
                checkpoint.
            CheckpointMismatchError: the checkpoints are of another task.
        """
        self._resume()
        self.progress.started_seconds = time.monotonic()
        lengths = self._ranks.of_all(length_of(self.loaders.validation))
        known = [length for length in lengths if length is not None]
        self._validation_calls = max(known) if len(known) == len(lengths) else None
        while self.progress.epoch < self.progress.epochs or not self.progress.validated:
            if self.best.exhausted:
                self._end_early()
                break
            self._train_epoch(*self._start_epoch())
            self._end_epoch(self._validate())
        self._ranks.settle()
        if self._checkpointer:
            self._checkpointer.wait()

    def best_model(self) -> nn.Module | dict[str, Any] | None:
        """Return the model of the best epoch on rank 0, or its weights; None: it is that of now."""
        store = self._checkpointer.store if self._checkpointer else None
        return self._best_model.load(self.best, self.progress.step, self.model, store)

    def _train_epoch(self, batches: Iterator[Batch], left: int) -> None:
        progress = self.progress
        check_same_batches(self._ranks.of_all(left))
        progress.expect(math.ceil(left / self._accumulate))
        self._reporter.begin_epoch()
        timed = Timed(batches)
        while left > 0:
            count = min(self._accumulate, left)
            means = self._stepper.step(islice(timed, count), count)
            if not means.samples:
                raise ValueError(
                    "the training loader gave fewer batches than its length or --steps-per-epoch"
                )
            left -= count
            progress.step += 1
            progress.batches += count
            progress.samples += means.samples * self._place.world_size
            self._means.include(means)
            self._reporter.step(means, self._stepper.learning_rate, timed.take_seconds())
            self._stop_or_save(last=left == 0)
        self._reporter.end_training(self._stepper.learning_rate)

    def _stop_or_save(self, *, last: bool) -> None:
        """Do between two steps what all ranks agree on.

        The last step of an epoch gets its checkpoint after the validation.
        """
        self._hooks.alive()
        saving = self._checkpointer
        stop, due, busy = self._ranks.any_before(
            self._hooks.stop_requested(),
            saving is not None and saving.due,
            saving is not None and saving.busy,
        )
        if stop:
            self._stop()
        if due and not busy and not last:
            self._save()

    def _validate(self) -> dict[str, float]:
        """Return the means over the validation samples of all ranks."""
        self._validation_random = random_state.capture(self._place.device)
        share_buffers(self.model)
        self.model.eval()
        means = Means()
        calls = self._validation_calls
        with torch.no_grad():
            for batch in self.loaders.validation:
                means.include(self._stepper.evaluate(batch))
                self._hooks.alive()
                if calls is not None:
                    self._stop_if_asked()
                    calls -= 1
        # The other ranks ask once for each of their batches, so this one does, too. Nobody asks
        # where a rank has a stream: it would be asked for ever, or never.
        for _ in range(calls or 0):
            self._stop_if_asked()
        self._validation_random = None
        # The question under way is not that of the next step, which asks for more.
        self._ranks.settle()
        return means_over_ranks(means.sums(), means.samples, self._ranks, self._place.device)

    def _stop_if_asked(self) -> None:
        self._hooks.alive()
        if self._ranks.any_before(self._hooks.stop_requested())[0]:
            self._stop()

    def _end_epoch(self, validation: dict[str, float]) -> None:
        """Report one epoch, draw its samples, keep its checkpoint."""
        progress = self.progress
        progress.validated = True
        self._reporter.end_epoch(self._means, validation)
        is_best = bool(validation) and self._is_best(validation)
        if self._place.rank == 0:
            file = save_samples(
                self.task.draw_samples,
                self.model,
                self.loaders.validation,
                self._place.device,
                progress.epoch,
                self._samples_dir,
            )
            if file is not None:
                self._hooks.samples_drawn(Path(file), progress.epoch)
        if self._checkpointer is None:
            if is_best and self._place.rank == 0:
                self._best_model.keep(self.best, self.model)
            return
        last = progress.epoch == progress.epochs or self.best.exhausted
        # A slow disk holds up the training only for what must not be left out.
        if is_best or last or not any(self._ranks.any(self._checkpointer.busy)):
            self._save(best=self.best.state() if is_best else None)

    def _is_best(self, validation: dict[str, float]) -> bool:
        name = self.best.metric
        if name not in validation:
            known = ", ".join(validation)
            raise OptionError(f"--best-metric {name}: validation has only {known}")
        return self.best.update(validation[name], self.progress.epoch, self.progress.step)

    def _end_early(self) -> None:
        _logger.info(
            "no better %s since epoch %d: training ends", self.best.metric, self.best.epoch
        )
        self.progress.end_early()
        self._reporter.ended_early()

    def _stop(self) -> None:
        self._reporter.flush(self._stepper.learning_rate)
        if self._checkpointer:
            self._checkpointer.wait()
            if self._checkpointer.last_step != self.progress.step:
                self._save()
                self._checkpointer.wait()
        raise TrainingStoppedError

    def _save(self, best: dict[str, Any] | None = None) -> None:
        if self._checkpointer is None:
            return
        self._ranks.settle()
        # Each rank writes a share of the model. DDP would do this before the next step anyway.
        share_buffers(self.model)
        own = {
            "random": self._validation_random or random_state.capture(self._place.device),
            "epoch_random": self._epoch_random,
            "means": self._means.state(),
        }
        shared = {
            "setup": self._setup,
            "progress": self.progress.state(),
            "best": self.best.state(),
            **self._stepper.state(),
        }
        self._checkpointer.save(self.progress.step, own, shared, best)

    def _resume(self) -> None:
        if self._checkpointer is None:
            return
        store, rank = self._checkpointer.store, self._place.rank
        if not seen_by_all(store, rank, self._ranks):
            _logger.error("no checkpoints: %s is not the same for all ranks", store.directory)
            self._checkpointer = None
            return
        step = newest_usable(store, rank, self._ranks)
        if step is None:
            return
        shared, self._resumed = store.read(step, rank)
        check_same_training(shared["setup"], self._setup)
        self._stepper.restore(shared)
        self.progress.restore(shared["progress"])
        self.best.restore(shared["best"])
        self._checkpointer.last_step = step
        if self._resumed and self.progress.validated:
            random_state.restore(self._resumed["random"], self._place.device)
        _logger.info("goes on after step %d, in epoch %d", step, self.progress.epoch)

    def _start_epoch(self) -> tuple[Iterator[Batch], int]:
        """Return the batches of a new epoch, or those left of one; and their number."""
        progress, device = self.progress, self._place.device
        if progress.epoch == 0 or progress.validated:
            progress.begin_epoch(progress.epoch + 1)
            self._means = Means()
            self._epoch_random = random_state.capture(device)
            return self._epochs.start(progress.epoch)
        own = self._resumed or {}
        if own:
            self._means.restore(own["means"], device)
            self._epoch_random = own["epoch_random"]
            random_state.restore(own["epoch_random"], device)
        started = self._epochs.start(
            progress.epoch, batches=progress.batches, samples=progress.samples
        )
        if own:
            random_state.restore(own["random"], device)
        return started
