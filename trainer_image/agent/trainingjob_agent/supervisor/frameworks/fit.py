"""How far a Trainer of Lightning is, whichever of its two packages it comes from."""

from __future__ import annotations

import functools
import sys
from typing import Any

from trainingjob_agent.supervisor.progress import progress_of_process


class FitProgress:
    """Hooks of a callback of Lightning. It has no state: nothing of it is in a checkpoint."""

    def on_train_start(self, trainer: Any, *_: object) -> None:
        """Report where it begins: the pace counts from there."""
        _report(trainer)

    def on_train_batch_end(self, trainer: Any, *_: object, **__: object) -> None:
        """Report the step; with accumulated gradients a batch may be a part of one."""
        _report(trainer)

    def on_validation_batch_end(self, *_: object, **__: object) -> None:
        """Report that it goes on."""
        _go_on()

    def on_test_batch_end(self, *_: object, **__: object) -> None:
        """Report that it goes on."""
        _go_on()

    def on_predict_batch_end(self, *_: object, **__: object) -> None:
        """Report that it goes on."""
        _go_on()

    def on_train_end(self, trainer: Any, *_: object) -> None:
        """Report the end, which may come early."""
        progress = progress_of_process()
        if progress is not None:
            progress.end(trainer.global_step)


def _go_on() -> None:
    progress = progress_of_process()
    if progress is not None:
        progress.go_on()


def _report(trainer: Any) -> None:
    progress = progress_of_process()
    if progress is None:
        return
    try:
        step, done, epoch = trainer.global_step, _done(trainer), trainer.current_epoch + 1
    except (AttributeError, TypeError) as reason:
        _say_once(str(reason))  # of a release that we do not know; the training goes on
        return
    progress.report(step, done, epoch)


@functools.lru_cache(maxsize=None)
def _say_once(reason: str) -> None:
    sys.stderr.write(f"trainingjob-exec: the progress of Lightning is not known: {reason}\n")


def _done(trainer: Any) -> float | None:
    """Return the part that is done, by whichever of max_epochs and max_steps comes first."""
    parts = []
    if trainer.max_steps > 0:
        parts.append(trainer.global_step / trainer.max_steps)
    batches = trainer.num_training_batches
    if (trainer.max_epochs or 0) > 0 and 0 < batches < float("inf"):
        # The count of steps is that of all optimizers; the count of batches is not.
        parts.append((trainer.fit_loop.total_batch_idx + 1) / (trainer.max_epochs * batches))
    return max(parts, default=None)
