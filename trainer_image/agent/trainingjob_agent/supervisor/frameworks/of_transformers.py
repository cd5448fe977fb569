"""The callback that each Trainer of Transformers gets, with its default ones."""

import math
from typing import Any

from transformers.trainer_callback import TrainerCallback

from trainingjob_agent.supervisor.progress import progress_of_process


class Progress(TrainerCallback):
    """Reports the progress of `train`."""

    def on_train_begin(self, _arguments: Any, state: Any, _control: Any, **_: object) -> None:
        """Report where it begins: the pace counts from there."""
        _report(state)

    def on_step_end(self, _arguments: Any, state: Any, _control: Any, **_: object) -> None:
        """Report the step."""
        _report(state)

    def on_prediction_step(self, *_: object, **__: object) -> None:
        """Report that an evaluation goes on."""
        progress = progress_of_process()
        if progress is not None:
            progress.go_on()

    def on_train_end(self, _arguments: Any, state: Any, _control: Any, **_: object) -> None:
        """Report the end, which may come early."""
        progress = progress_of_process()
        if progress is not None and state.is_world_process_zero:
            progress.end(state.global_step)


def _report(state: Any) -> None:
    progress = progress_of_process()
    if progress is not None and state.is_world_process_zero:
        done = state.global_step / state.max_steps if state.max_steps > 0 else None
        # It counts in parts: 0.25 is in the first epoch, and 1.0 is its end.
        epoch = max(1, math.ceil(round(state.epoch or 0, 6)))
        progress.report(state.global_step, done, epoch)
