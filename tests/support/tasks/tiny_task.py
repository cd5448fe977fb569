"""A user's task of milliseconds which writes down every loss, and dies where a test says so."""

import os
import random
import signal
import subprocess
import time
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.utils.data import DataLoader, Subset, TensorDataset
from trainingjob_trainer.task import DataRequest, Loaders
from trainingjob_trainer.tasks.images import ImageBatch, ImageTask

from tests.support.tasks import tiny_loaders

if TYPE_CHECKING:
    from _typeshed import FileDescriptorLike

SAMPLES = tiny_loaders.SAMPLES


class Counting(nn.Module):
    """Passes its input on, and counts batches in a buffer: a checkpoint takes the count along."""

    count: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("count", torch.zeros((), dtype=torch.int64))

    def forward(self, images: Tensor) -> Tensor:
        if self.training:
            self.count += 1
        return images


class TinyTask(ImageTask):
    """Uses everything that a resume has to put back: running statistics and all generators."""

    def __init__(self) -> None:
        self.name = os.environ.get("TINY_NAME", "tiny")
        self.rank = int(os.environ.get("RANK", "0"))
        self.counting = Counting()
        slow_down_disk(float(os.environ.get("TINY_SYNC_SECONDS", "0")))

    def build_model(self) -> nn.Module:
        return nn.Sequential(
            self.counting,
            nn.Flatten(),
            nn.Linear(4, 8),
            nn.BatchNorm1d(8),
            nn.ReLU(),
            nn.Dropout(0.3),
            nn.Linear(8, 2),
        )

    def build_loaders(self, request: DataRequest) -> Loaders:
        generator = torch.Generator().manual_seed(1)
        images = torch.rand(SAMPLES, 1, 2, 2, generator=generator)
        data = TensorDataset(images, (images.sum(dim=(1, 2, 3)) > 2).long())
        train = tiny_loaders.train_loader(data, request)
        validating = [int(rank) for rank in os.environ.get("TINY_VALIDATING", "").split()]
        ranks = validating or list(range(request.world_size))
        if request.rank not in ranks:
            return Loaders(train=train, validation=[])
        share = Subset(data, range(ranks.index(request.rank), 20, len(ranks)))
        persistent = os.environ.get("TINY_LOADER") == "persistent"
        validation = DataLoader(
            share,
            6,
            num_workers=int(persistent),
            multiprocessing_context="fork" if persistent else None,
            persistent_workers=persistent,
            collate_fn=tiny_loaders.collate,
        )
        return Loaders(train=train, validation=validation)

    def loss(self, output: Tensor, batch: ImageBatch) -> Tensor:
        if not output.requires_grad:
            return functional.cross_entropy(output, batch["label"])
        noise = 1 + (random.random() + float(np.random.rand())) / 10  # noqa: S311 - no secret
        noise *= float(os.environ.get("TINY_FACTOR", "1"))
        loss = functional.cross_entropy(output.float(), batch["label"]) * noise
        count = int(self.counting.count)
        line = f"{count} {float(loss.detach()).hex()} {float(batch['image'].sum()).hex()}\n"
        with (Path(os.environ["TINY_RECORD"]) / f"rank_{self.rank}").open("a") as file:
            file.write(line)
        if os.environ.get("TINY_SIGNAL") == f"{count} {self.rank}":
            send_as_torchrun(getattr(signal, os.environ["TINY_SIGNAL_NAME"]))
        return loss


def send_as_torchrun(number: int) -> None:
    """Send a signal from another process to all of the group that this one leads."""
    command = ["sh", "-c", f"kill -{number} -{os.getpid()}"]
    subprocess.run(command, check=True, start_new_session=True)


def slow_down_disk(seconds: float) -> None:
    """Make each file take that long to reach the disk."""
    sync = os.fsync

    def slow(fd: "FileDescriptorLike") -> None:
        time.sleep(seconds)
        sync(fd)

    os.fsync = slow
