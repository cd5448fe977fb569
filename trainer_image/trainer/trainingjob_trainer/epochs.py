"""The training batches of each epoch."""

import logging
from collections.abc import Iterator
from typing import Any

from trainingjob_trainer.options import OptionError
from trainingjob_trainer.sampling import set_epoch, start_epoch
from trainingjob_trainer.task import Batch, Loader, length_of

_logger = logging.getLogger(__name__)


class Epochs:
    """Epochs of equal length: a pass through the data, its beginning, or a part of a stream.

    Attributes:
        batches: of this rank in one whole epoch.
    """

    def __init__(
        self, loader: Loader, steps: int | None, accumulate: int, world_size: int = 1
    ) -> None:
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
        self._loader: Any = loader
        self._limit = limit
        self._world_size = world_size
        self._length = length
        self._positioned = False

    def state_dict(self) -> dict[str, Any]:
        """Return where a loader is that knows it, as torchdata's `StatefulDataLoader` does."""
        if not _knows_its_position(self._loader):
            return {}
        return {"loader": self._loader.state_dict(), "world_size": self._world_size}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Put such a loader where it was."""
        if not _knows_its_position(self._loader):
            return
        if state_dict["world_size"] != self._world_size:
            _logger.warning("the loader starts its epoch again: its share of the data is another")
            return
        self._loader.load_state_dict(state_dict["loader"])
        self._positioned = True

    def start(
        self, epoch: int, *, batches: int = 0, samples: int = 0
    ) -> tuple[Iterator[Batch], int]:
        """Return the batches of `epoch` after the first ones, and how many these are.

        Args:
            epoch: from 1.
            batches: of this rank that are done.
            samples: of all ranks that are done, the same ones.
        """
        if self._positioned:
            self._positioned = False
            set_epoch(self._loader, epoch)
            iterator = iter(self._loader)
            left = None if self._length is None else self._length - batches
        else:
            iterator, left = start_epoch(self._loader, epoch, batches=batches, samples=samples)
        limit = None if self._limit is None else self._limit - batches
        return iterator, max(0, min(one for one in (left, limit) if one is not None))


def start_workers(loader: Any) -> None:
    """Start workers that are there for all epochs, if a loader has such.

    To start them draws a number, which nobody draws in an epoch after the first one. A training
    that is resumed there does so beforehand, without a trace in its random generators.
    """
    if getattr(loader, "persistent_workers", False):
        iter(loader)


def not_resumed(loader: Any) -> str | None:
    """Say what of a loader no checkpoint has; None: it resumes exactly."""
    if getattr(loader, "persistent_workers", False):
        return "the random generators in its persistent workers"
    return None


def _knows_its_position(loader: Any) -> bool:
    return hasattr(loader, "state_dict") and hasattr(loader, "load_state_dict")
