"""What the model is like on the validation samples of all ranks."""

from collections.abc import Callable, Iterator
from typing import Any

import torch

from trainingjob_trainer.distributed import Ranks, means_over_ranks, share_buffers
from trainingjob_trainer.parallel import Parallel, in_step
from trainingjob_trainer.progress import Means
from trainingjob_trainer.stepping import Stepper
from trainingjob_trainer.task import Batch, Loader, Task, TaskNotFoundError, length_of


class Validation:
    """Evaluates the samples of this rank."""

    def __init__(
        self,
        task: Task,
        stepper: Stepper,
        loader: Loader,
        parallel: Parallel,
        ranks: Ranks,
        device: torch.device,
        *,
        alive: Callable[[], None],
    ) -> None:
        """Prepare.

        Raises:
            TaskNotFoundError: the task has metrics, but does not say how to measure.
        """
        self._task = task
        self._metrics = {name: one.to(device) for name, one in task.build_metrics().items()}
        if self._metrics and type(task).measure is Task.measure:
            raise TaskNotFoundError(f"task {task.name} builds metrics: it lacks measure")
        self._stepper = stepper
        self._loader = loader
        self._parallel = parallel
        self._ranks = ranks
        self._device = device
        self._alive = alive

    def run(self, stop_if_asked: Callable[[], None]) -> dict[str, float]:
        """Return the means over the validation samples of all ranks, and the metrics over all.

        `stop_if_asked` is called between two batches, as often on each rank.
        """
        share_buffers(self._stepper.model)
        self._stepper.model.eval()
        calls = self._most_batches()
        means = Means()
        for metric in self._metrics.values():
            metric.reset()
        with torch.no_grad():
            for batch, counted in self._batches():
                measure = self._measure if counted and self._metrics else None
                evaluated = self._stepper.evaluate(batch, measure)
                if counted:
                    means.include(evaluated)
                self._alive()
                if calls is not None:
                    stop_if_asked()
                    calls -= 1
        # The other ranks ask once for each of their batches, so this one does, too. Nobody asks
        # where a rank has a stream: it would be asked for ever, or never.
        for _ in range(calls or 0):
            stop_if_asked()
        # The question under way is not that of the next step, which asks for more.
        self._ranks.settle()
        found = means_over_ranks(means.sums(), means.samples, self._ranks, self._device)
        return {**found, **self._compute(means.samples)} if found else {}

    def _measure(self, output: Any, batch: Batch) -> None:
        self._task.measure(self._metrics, output, batch)

    def _compute(self, samples: int) -> dict[str, float]:
        """Return the metrics over all batches of all ranks, of which this one had `samples`.

        Raises:
            ValueError: a rank had none: what it would send to the others is of no type.
        """
        if self._metrics and any(self._ranks.any(samples == 0)):
            raise ValueError(
                f"{', '.join(self._metrics)}: each rank needs a batch of validation for a metric "
                "over all of them"
            )
        return {name: float(metric.compute()) for name, metric in self._metrics.items()}

    def _most_batches(self) -> int | None:
        """Return how many batches the rank with the most of them has; None if one has a stream."""
        lengths = self._ranks.of_all(length_of(self._loader))
        known = [length for length in lengths if length is not None]
        return max(known) if len(known) == len(lengths) else None

    def _batches(self) -> Iterator[tuple[Batch, bool]]:
        """Return the batches of this rank, and whether each one counts."""
        if self._parallel.joint:
            return in_step(self._loader, self._ranks)
        return ((batch, True) for batch in self._loader)
