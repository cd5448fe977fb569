"""The order of the training data: a pure function of seed and epoch, which can start anywhere."""

from collections.abc import Iterator, Sized

import numpy as np
import torch
from torch.utils.data import Sampler

from trainingjob_trainer.parts import parts_of
from trainingjob_trainer.task import Batch, DataRequest, Loader, length_of


class ResumableSampler(Sampler[int]):
    """One rank's share of a shuffled data set, for `DataLoader(dataset, sampler=…)`.

    All ranks walk through one order together: of each `world_size` consecutive samples every rank
    takes one. So a position is a number of samples of all ranks, and holds for any number of ranks.
    What does not fill a round of all ranks is left out at the end of the epoch.
    """

    def __init__(self, dataset: Sized, request: DataRequest) -> None:
        self._size = len(dataset)
        self._request = request
        self._epoch = 1
        self._samples = 0

    def start_at(self, epoch: int, samples: int = 0) -> None:
        """Let the next pass be that of `epoch` (from 1) without its first `samples` samples."""
        self._epoch = epoch
        self._samples = samples

    def __len__(self) -> int:
        return max(0, self._size - self._samples) // self._request.world_size

    def __iter__(self) -> Iterator[int]:
        # Both numbers are mixed: seed 1 in epoch 2 has nothing of seed 2 in epoch 1.
        mixed = np.random.SeedSequence((self._request.seed, self._epoch)).generate_state(1)
        generator = torch.Generator().manual_seed(int(mixed[0]))
        order = torch.randperm(self._size, generator=generator)
        share = order[self._samples :][self._request.rank :: self._request.world_size]
        yield from share[: len(self)].tolist()


def start_epoch(
    loader: Loader, epoch: int, *, batches: int = 0, samples: int = 0
) -> tuple[Iterator[Batch], int | None]:
    """Return the batches of `epoch` after the first ones, and how many these are, if that is known.

    With a `ResumableSampler` the first samples are never loaded. Any other loader gives its first
    batches for nothing: that takes their time, and repeats the order if the random generators are
    as they were at the start of the epoch. A sampler or data set with `set_epoch` learns the epoch.

    Args:
        loader: of this rank.
        epoch: from 1.
        batches: of this rank that are done.
        samples: of all ranks that are done, the same ones.
    """
    set_epoch(loader, epoch)
    for _, part in parts_of(loader):
        if isinstance(part, ResumableSampler):
            part.start_at(epoch, samples)
            return iter(loader), length_of(loader)
    iterator, length = iter(loader), length_of(loader)
    for _ in range(batches):
        next(iterator)
    return iterator, None if length is None else length - batches


def set_epoch(loader: Loader, epoch: int) -> None:
    """Let all parts of a loader know the epoch that ask for it, as torch's `DistributedSampler`."""
    for _, part in parts_of(loader):
        learn = getattr(part, "set_epoch", None)
        if callable(learn):
            learn(epoch)
