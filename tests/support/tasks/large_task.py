"""A task whose model and optimizer take hundreds of megabytes, and which measures its resume."""

import json
import os
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.distributed.tensor import DTensor
from torch.nn import functional
from torch.optim import AdamW, Optimizer
from trainingjob_trainer.task import DataRequest, Loaders, Task

from tests.support.memory import PeakMemory

WIDTH, LAYERS = 1024, 48
STATES = 3
"""Parameters, and two averages of each by Adam."""


class LargeTask(Task):
    """Writes the bytes of the rank's shard, and how many a resume took at most, to `peak_RANK`.

    The measurement is from the optimizer's making, before anything is read, to the first step.
    """

    name = "large"

    def __init__(self) -> None:
        self._peak: PeakMemory | None = None
        self._shard = 0

    def build_model(self) -> nn.Module:
        return nn.Sequential(*(nn.Linear(WIDTH, WIDTH) for _ in range(LAYERS)))

    def build_loaders(self, request: DataRequest) -> Loaders:
        batches = [torch.ones(request.batch_size, WIDTH)]
        return Loaders(train=batches, validation=batches)

    def build_optimizer(self, model: nn.Module, learning_rate: float) -> Optimizer:
        local = (one.to_local() if isinstance(one, DTensor) else one for one in model.parameters())
        parameters = sum(one.nbytes for one in local)
        self._shard = STATES * parameters
        self._peak = PeakMemory()
        self._peak.__enter__()
        return AdamW(model.parameters(), lr=learning_rate)

    def forward(self, model: nn.Module, batch: Tensor) -> Tensor:
        if self._peak is not None:
            self._peak.__exit__(None, None, None)
            # The parameters were there before.
            found = {"shard": self._shard, "peak": self._peak.bytes + self._shard // STATES}
            file = Path(os.environ["TINY_RECORD"]) / f"peak_{os.environ['RANK']}"
            file.write_text(json.dumps(found))
            self._peak = None
        output: Tensor = model(batch)
        return output

    def loss(self, output: Tensor, batch: Tensor) -> Tensor:
        return functional.mse_loss(output, batch)

    def count(self, batch: Tensor) -> int:
        return len(batch)
