"""The training loop."""

import logging
import math
import time
from collections.abc import Callable, Iterator
from itertools import islice
from typing import Any

from torch import nn

from trainingjob_trainer.best_model import BestModel
from trainingjob_trainer.checkpoint import DirectoryInUseError
from trainingjob_trainer.distributed import means_over_ranks, share_buffers
from trainingjob_trainer.epochs import not_resumed, start_workers
from trainingjob_trainer.evaluation import draw_samples
from trainingjob_trainer.initial import load_initial_weights
from trainingjob_trainer.options import OptionError
from trainingjob_trainer.progress import check_same_batches
from trainingjob_trainer.reporting import Timed
from trainingjob_trainer.resume import go_on, seen_by_all, take_directory
from trainingjob_trainer.surroundings import TrainingStoppedError
from trainingjob_trainer.task import Batch
from trainingjob_trainer.training import Training

_logger = logging.getLogger(__name__)


class TrainingLoop:
    """Trains one model on this rank; rank 0 reports."""

    def __init__(self, training: Training) -> None:
        self._training = training
        self.progress = training.progress
        self.best = training.best
        self._accumulate = training.options.accumulate
        self._ranks = training.ranks
        self._stepper = training.stepper
        self._reporter = training.reporter
        self._generators = training.generators
        self._checkpointer = training.checkpointer
        self._best_model = BestModel()
        self._reporting = True

    def run(self) -> None:
        """Train all epochs, from the newest checkpoint if there is one.

        Raises:
            TrainingStoppedError: asked to stop; the step under way was finished, and has a
                checkpoint.
            CheckpointMismatchError: the checkpoints are of another task.
        """
        self._begin()
        self.progress.started_seconds = time.monotonic()
        while self.progress.epoch < self.progress.epochs or not self.progress.validated:
            if self.best.exhausted:
                self._end_early()
                break
            self._train_epoch(*self._start_epoch())
            # A checkpoint of a validation that is stopped has it done again.
            with self._generators.held():
                validation = self._training.validation.run(self._stop_if_asked)
            self._end_epoch(validation)
        self._ranks.settle()
        self._training.profiler.end()
        if self._checkpointer:
            self._checkpointer.wait()

    def final_model(self) -> nn.Module | None:
        """Return the trained model on the CPU, on rank 0; training is over. All ranks come here.

        First all else goes that there was for the training, so that there is room for it.
        """
        self._stepper.free()
        if self._checkpointer:
            self._checkpointer.free()
        return self._training.parallel.whole_model(self._training.task.build_model)

    def find_best_model(self) -> Callable[[nn.Module], None] | None:
        """Return what makes the final model the best one, on rank 0; None: it is, or none is left.

        All ranks come here.
        """
        store = self._checkpointer.store if self._checkpointer else None
        training = self._training
        first = training.place.rank == 0
        return self._best_model.find(
            self.best, self.progress.step, store, training.parallel, first=first
        )

    def _train_epoch(self, batches: Iterator[Batch], left: int) -> None:
        progress = self.progress
        check_same_batches(self._ranks.of_all(left))
        progress.expect(math.ceil(left / self._accumulate))
        self._reporter.begin_epoch()
        timed = Timed(batches)
        while left > 0:
            count = min(self._accumulate, left)
            self._training.profiler.before(progress.step + 1)
            means = self._stepper.step(islice(timed, count), count, measure=self._reporting)
            left -= count
            progress.step += 1
            progress.batches += count
            self._training.profiler.after(progress.step)
            progress.samples += self._stepper.samples_of_all
            self._training.means.include(means)
            self._reporter.step(means, timed.take_seconds())
            if self._reporting:
                self._reporter.flush(self._measured(), self._stepper.take_tokens())
            self._agree(last=left == 0)
        self._reporter.end_training(self._measured(), self._stepper.take_tokens())

    def _measured(self) -> dict[str, float]:
        """Return what is known of the last step. All ranks come here."""
        norm = self._stepper.gradient_norm
        found = self._stepper.take_not_finite()
        return {
            "learning_rate": self._stepper.learning_rate,
            "not_finite_batches": self._training.finite.count(found, self.progress.step),
            **({} if norm is None else {"gradient_norm": norm}),
        }

    def _agree(self, *, last: bool) -> None:
        """Do between two steps what all ranks agree on: stop, save, measure the next step.

        The last step of an epoch gets its checkpoint after the validation.
        """
        self._training.hooks.alive()
        saving = self._checkpointer
        stop, due, busy, taken, self._reporting = self._ranks.any_before(
            self._training.hooks.stop_requested(),
            saving is not None and saving.due,
            saving is not None and saving.busy,
            saving is not None and saving.taken is not None,
            self._training.place.rank == 0 and self._reporter.due,
        )
        self._reporting = self._reporting or self._reporter.each_step
        if taken and saving is not None:
            raise saving.taken or DirectoryInUseError("another training has the checkpoints")
        if stop:
            self._stop()
        if due and not busy and not last:
            self._save()

    def _stop_if_asked(self) -> None:
        self._training.hooks.alive()
        if self._ranks.any_before(self._training.hooks.stop_requested())[0]:
            self._stop()

    def _end_epoch(self, validation: dict[str, float]) -> None:
        """Report one epoch, draw its samples, keep its checkpoint."""
        progress = self.progress
        progress.validated = True
        means = self._training.means
        trained = means_over_ranks(
            means.sums(), means.samples, self._ranks, self._training.place.device
        )
        self._reporter.end_epoch(trained, validation)
        is_best = bool(validation) and self._is_best(validation)
        draw_samples(self._training, progress.epoch)
        if self._checkpointer is None:
            if is_best:
                self._best_model.keep(self.best, self._training.parallel.weights())
            return
        last = progress.epoch == progress.epochs or self.best.exhausted
        # A slow disk holds up the training only for what must not be left out.
        if is_best or last or not any(self._ranks.any(self._checkpointer.busy)):
            self._save(best=self.best.state_dict() if is_best else None)

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
        self._reporter.flush(self._measured(), self._stepper.take_tokens())
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
        share_buffers(self._stepper.model)
        state = self._training.state
        self._checkpointer.save(self.progress.step, state.own_states(), state.shared_states(), best)

    def _begin(self) -> None:
        """Go on from the newest checkpoint, or begin with the initial weights if there are any."""
        source = self._training.options.initial_weights
        if not self._resume() and source is not None:
            first = self._training.place.rank == 0
            load_initial_weights(self._stepper.model, source, self._ranks, first=first)

    def _resume(self) -> bool:
        """Go on from the newest checkpoint, if there is one."""
        saving = self._checkpointer
        if saving is None:
            return False
        if (left_out := not_resumed(self._training.loaders.train)) is not None:
            _logger.warning("a training that is resumed differs in %s", left_out)
        if not seen_by_all(saving.store, self._training.place.rank, self._ranks):
            _logger.error(
                "no checkpoints: %s is not the same for all ranks", saving.store.directory
            )
            self._checkpointer = None
            return False
        take_directory(saving, self._ranks)
        if not go_on(saving, self._training.state, self._training.place, self._ranks):
            return False
        progress = self.progress
        _logger.info("goes on after step %d, in epoch %d", progress.step, progress.epoch)
        if progress.epoch > 1 or progress.validated:
            with self._generators.undisturbed():
                for loader in (self._training.loaders.train, self._training.loaders.validation):
                    start_workers(loader)
        return True

    def _start_epoch(self) -> tuple[Iterator[Batch], int]:
        """Return the batches of a new epoch, or those left of one; and their number."""
        progress = self.progress
        if progress.epoch == 0 or progress.validated:
            progress.begin_epoch(progress.epoch + 1)
            self._training.means.clear()
            self._generators.begin_epoch()
            return self._training.epochs.start(progress.epoch)
        with self._generators.rewound():
            return self._training.epochs.start(
                progress.epoch, batches=progress.batches, samples=progress.samples
            )
