"""What all ranks do together where a forward pass needs all of them."""

from collections.abc import Callable, Iterable, Iterator
from typing import Any

from torch import nn

from trainingjob_trainer.distributed import Ranks
from trainingjob_trainer.random_state import seed_everything
from trainingjob_trainer.task import Batch, Loader, SampleFile


def in_step(batches: Iterable[Batch], ranks: Ranks) -> Iterator[tuple[Batch, bool]]:
    """Pass batches on until no rank has more; the second value is whether this one counts.

    A rank that has no more repeats its last one, so that the others can evaluate theirs.

    Raises:
        ValueError: a rank has none at all, and another one has some.
    """
    left = iter(batches)
    last: list[Batch] = []
    while True:
        batch = _next(left)
        some, none = ranks.any(bool(batch), not (batch or last))
        if not some:
            return
        if none:
            raise ValueError("with --parallel fsdp2 each rank needs a batch of validation")
        last = batch or last
        yield last[0], bool(batch)


class OfFirstRank:
    """A loader of one batch: the first one of rank 0, on all ranks."""

    def __init__(self, loader: Loader, ranks: Ranks, *, first: bool) -> None:
        self._loader = loader
        self._ranks = ranks
        self._first = first

    def __iter__(self) -> Iterator[Batch]:
        """Get it and pass it on; also that there is none.

        Raises:
            Exception: on rank 0, what the loader raises; the others have no batch then.
        """
        batch: list[Batch] = []
        try:
            if self._first:
                batch = _next(iter(self._loader))
        finally:
            batch = self._ranks.of_first(batch)
        yield from batch

    def __getattr__(self, name: str) -> Any:
        """Look like the loader, whose generators samples leave as they are."""
        return getattr(self._loader, name)


def drawn_alike(
    draw: Callable[[nn.Module, Batch, int], SampleFile | None], *, first: bool
) -> Callable[[nn.Module, Batch, int], SampleFile | None]:
    """Return what draws with the same noise on all ranks, for the file of rank 0."""

    def draw_alike(model: nn.Module, batch: Batch, epoch: int) -> SampleFile | None:
        seed_everything(epoch)
        file = draw(model, batch, epoch)
        return file if first else None

    return draw_alike


def _next(batches: Iterator[Batch]) -> list[Batch]:
    """Return the next batch, if there is one."""
    for batch in batches:
        return [batch]
    return []
