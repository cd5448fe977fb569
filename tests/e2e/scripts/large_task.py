"""A task whose training takes more memory than the pod of one rank has, unless ranks share it."""

import torch
from torch import Tensor, nn
from torch.nn import functional
from trainingjob_trainer.task import DataRequest, Loaders, Task

WIDTH, LAYERS = 2048, 36


class LargeTask(Task):
    """600 MB of parameters: with gradients and Adam's averages 2.4 GB, on each rank of DDP.

    DDP itself has room for the gradients once more.
    """

    name = "large"

    def build_model(self) -> nn.Module:
        return nn.Sequential(*(nn.Linear(WIDTH, WIDTH) for _ in range(LAYERS)))

    def build_loaders(self, request: DataRequest) -> Loaders:
        batches = [torch.rand(request.batch_size, WIDTH) for _ in range(3)]
        return Loaders(train=batches, validation=batches[:1])

    def forward(self, model: nn.Module, batch: Tensor) -> Tensor:
        output: Tensor = model(batch)
        return output

    def loss(self, output: Tensor, batch: Tensor) -> Tensor:
        return functional.mse_loss(output, batch)

    def count(self, batch: Tensor) -> int:
        return len(batch)
