"""The tiny task with a buffer whose rows do not lie one after the other in memory."""

import torch
from torch import Tensor, nn

from tests.support.tasks.tiny_task import TinyTask


class Transposed(nn.Module):
    """Counts batches in each place of its buffer, which starts as 0, 1, 2 | 3, 4, 5 turned."""

    turned: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("turned", torch.arange(6.0).reshape(2, 3).t())

    def forward(self, values: Tensor) -> Tensor:
        if self.training:
            self.turned += 1
        return values


class BuffersTask(TinyTask):
    def build_model(self) -> nn.Module:
        return nn.Sequential(Transposed(), super().build_model())
