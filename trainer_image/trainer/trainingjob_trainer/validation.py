"""What the model is like on the validation samples of all ranks."""

from collections.abc import Callable, Iterator

import torch

from trainingjob_trainer.distributed import Ranks, means_over_ranks, share_buffers
from trainingjob_trainer.parallel import Parallel, in_step
from trainingjob_trainer.progress import Means
from trainingjob_trainer.stepping import Stepper
from trainingjob_trainer.task import Batch, Loader, length_of


class Validation:
    """Evaluates the samples of this rank."""

    def __init__(
        self,
        stepper: Stepper,
        loader: Loader,
        parallel: Parallel,
        ranks: Ranks,
        device: torch.device,
        *,
        alive: Callable[[], None],
    ) -> None:
        self._stepper = stepper
        self._loader = loader
        self._parallel = parallel
        self._ranks = ranks
        self._device = device
        self._alive = alive

    def run(self, stop_if_asked: Callable[[], None]) -> dict[str, float]:
        """Return the means over the validation samples of all ranks.

        `stop_if_asked` is called between two batches, as often on each rank.
        """
        share_buffers(self._stepper.model)
        self._stepper.model.eval()
        calls = self._most_batches()
        means = Means()
        with torch.no_grad():
            for batch, counted in self._batches():
                evaluated = self._stepper.evaluate(batch)
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
        return means_over_ranks(means.sums(), means.samples, self._ranks, self._device)

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
