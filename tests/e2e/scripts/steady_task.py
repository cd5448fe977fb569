"""A task with hardly any work, whose first attempt goes slowly after its first steps.

So a test interrupts the first attempt when it likes, and does not wait for the last one. A first
attempt that is to end gets the file HURRY.
"""

import os
import time
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.utils.data import DataLoader, TensorDataset
from trainingjob_trainer.sampling import ResumableSampler
from trainingjob_trainer.task import DataRequest, Loaders
from trainingjob_trainer.tasks.images import ImageBatch, ImageTask

BATCHES = 100
QUICK_STEPS = 5
STEP_SECONDS = 2.0 if os.environ["TRAININGJOB_ATTEMPT"] == "1" else 0.0
HURRY = Path("/tmp/hurry")  # noqa: S108 - the pod's, not this machine's


class SteadyTask(ImageTask):
    name = "steady"

    def __init__(self) -> None:
        self._steps = 0

    def build_model(self) -> nn.Module:
        return nn.Sequential(nn.Flatten(), nn.Linear(4, 2))

    def build_loaders(self, request: DataRequest) -> Loaders:
        samples = BATCHES * request.batch_size * request.world_size
        images = torch.rand(samples, 1, 2, 2, generator=torch.Generator().manual_seed(1))
        data = TensorDataset(images, (images.sum(dim=(1, 2, 3)) > 2).long())
        sampler = ResumableSampler(data, request)
        train = DataLoader(data, request.batch_size, sampler=sampler, collate_fn=collate)
        # Without validation there is no model to log, which would take longer than the training.
        return Loaders(train=train, validation=[])

    def loss(self, output: Tensor, batch: ImageBatch) -> Tensor:
        self._steps += 1
        if self._steps > QUICK_STEPS and not HURRY.exists():
            time.sleep(STEP_SECONDS)
        return functional.cross_entropy(output, batch["label"])


def collate(items: list[tuple[Tensor, Tensor]]) -> ImageBatch:
    images, labels = zip(*items, strict=True)
    return {"image": torch.stack(images), "label": torch.stack(labels)}
