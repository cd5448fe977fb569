"""The training loaders of the tiny task: one for each way to say in which order samples come."""

import os
from collections.abc import Iterator
from itertools import count
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import (
    BatchSampler,
    DataLoader,
    IterableDataset,
    Sampler,
    Subset,
    TensorDataset,
)
from trainingjob_trainer.sampling import ResumableSampler
from trainingjob_trainer.task import DataRequest, Loader
from trainingjob_trainer.tasks.images import ImageBatch

SAMPLES = 60


def train_loader(data: TensorDataset, request: DataRequest) -> Loader:
    """Return the loader that TINY_LOADER names."""
    size = request.batch_size
    share = Subset(data, range(request.rank * size, SAMPLES))
    generator = torch.Generator().manual_seed(5)
    match os.environ.get("TINY_LOADER"):
        case "shuffle":
            return DataLoader(data, size, shuffle=True, collate_fn=collate)
        case "generator":
            return DataLoader(data, size, shuffle=True, generator=generator, collate_fn=collate)
        case "numpy":
            return DataLoader(data, size, sampler=ByNumpy(SAMPLES), collate_fn=collate)
        case "batch-sampler":
            sampler = BatchSampler(ResumableSampler(data, request), size, drop_last=True)
            return DataLoader(data, batch_sampler=sampler, collate_fn=collate)
        case "set-epoch":
            return DataLoader(data, batch_sampler=ByEpoch(SAMPLES, size), collate_fn=collate)
        case "persistent":
            return DataLoader(
                data,
                size,
                shuffle=True,
                num_workers=2,
                persistent_workers=True,
                multiprocessing_context="fork",
                collate_fn=collate,
            )
        case "positioned":
            return Positioned(data, size)
        case "stream":
            return DataLoader(Stream(data, request), size, collate_fn=collate)
        case "unequal":
            return DataLoader(share, size, collate_fn=collate)
        case _:
            workers = int(os.environ.get("TINY_WORKERS", "0"))
            return DataLoader(
                data,
                size,
                sampler=ResumableSampler(data, request),
                num_workers=workers,
                multiprocessing_context="fork" if workers else None,
                collate_fn=collate,
            )


class ByNumpy(Sampler[int]):
    """Shuffles by a generator of its own, a number at a time."""

    def __init__(self, size: int) -> None:
        self.size = size
        self.chance = np.random.default_rng(7)

    def __len__(self) -> int:
        return self.size

    def __iter__(self) -> Iterator[int]:
        for _ in range(self.size):
            yield int(self.chance.integers(self.size))


class ByEpoch(Sampler[list[int]]):
    """Batches whose order depends on the epoch."""

    def __init__(self, samples: int, size: int) -> None:
        self.samples = samples
        self.size = size
        self.epoch = 0

    def set_epoch(self, epoch: int) -> None:
        self.epoch = epoch

    def __len__(self) -> int:
        return self.samples // self.size

    def __iter__(self) -> Iterator[list[int]]:
        order = np.random.default_rng(self.epoch).permutation(self.samples).tolist()
        for batch in range(len(self)):
            yield order[batch * self.size :][: self.size]


class Positioned:
    """Knows where it is, as torchdata's StatefulDataLoader: it loads nothing twice."""

    def __init__(self, data: TensorDataset, size: int) -> None:
        self.data = data
        self.size = size
        self.epoch = 0
        self.batch = 0
        self.going_on = False

    def __len__(self) -> int:
        return SAMPLES // self.size

    def __iter__(self) -> Iterator[ImageBatch]:
        if not self.going_on:
            self.epoch, self.batch = self.epoch + 1, 0
        self.going_on = False
        order = np.random.default_rng(self.epoch).permutation(SAMPLES).tolist()
        while self.batch < len(self):
            self.batch += 1
            yield collate(
                [self.data[i] for i in order[(self.batch - 1) * self.size :][: self.size]]
            )

    def state_dict(self) -> dict[str, Any]:
        return {"epoch": self.epoch, "batch": self.batch}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self.epoch, self.batch = state_dict["epoch"], state_dict["batch"]
        self.going_on = self.batch < len(self)


class Stream(IterableDataset[tuple[Tensor, Tensor]]):
    """Rank's share of samples without end, another one in each epoch."""

    def __init__(self, data: TensorDataset, request: DataRequest) -> None:
        self.data = data
        self.request = request
        self.epoch = 0

    def set_epoch(self, epoch: int) -> None:
        self.epoch = epoch

    def __iter__(self) -> Iterator[tuple[Tensor, Tensor]]:
        for number in count(self.request.rank, self.request.world_size):
            image, label = self.data[(number + 7 * self.epoch) % SAMPLES]
            yield image, label


def collate(items: list[tuple[Tensor, Tensor]]) -> ImageBatch:
    images, labels = zip(*items, strict=True)
    return {"image": torch.stack(images), "label": torch.stack(labels)}
