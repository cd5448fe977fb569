"""The training batches of each epoch."""

from collections.abc import Iterator

from trainingjob_trainer.options import OptionError
from trainingjob_trainer.sampling import start_epoch
from trainingjob_trainer.task import Batch, Loader, length_of


class Epochs:
    """Epochs of equal length: a pass through the data, its beginning, or a part of a stream.

    Attributes:
        batches: of this rank in one whole epoch.
    """

    def __init__(self, loader: Loader, steps: int | None, accumulate: int) -> None:
        """Prepare; an epoch has at most `steps` steps of `accumulate` batches.

        Raises:
            OptionError: the loader has no length, and there is no number of steps.
            ValueError: the loader is empty.
        """
        length = length_of(loader)
        if length == 0:
            raise ValueError("the training loader is empty")
        limit = None if steps is None else steps * accumulate
        known = [one for one in (length, limit) if one is not None]
        if not known:
            raise OptionError(
                "the training loader has no length: say by --steps-per-epoch how many steps come "
                "before validation, samples and checkpoint"
            )
        self.batches = min(known)
        self._loader = loader
        self._limit = limit

    def start(
        self, epoch: int, *, batches: int = 0, samples: int = 0
    ) -> tuple[Iterator[Batch], int]:
        """Return the batches of `epoch` after the first ones, and how many these are.

        Args:
            epoch: from 1.
            batches: of this rank that are done.
            samples: of all ranks that are done, the same ones.
        """
        iterator, left = start_epoch(self._loader, epoch, batches=batches, samples=samples)
        limit = None if self._limit is None else self._limit - batches
        return iterator, min(one for one in (left, limit) if one is not None)
