"""A user's task whose rank 1 fails in its second step."""

import os

from torch import Tensor
from trainingjob_trainer.tasks.images import ImageBatch
from trainingjob_trainer.tasks.mnist import MnistTask


class FailingTask(MnistTask):
    name = "failing"
    steps = 0

    def loss(self, output: Tensor, batch: ImageBatch) -> Tensor:
        self.steps += 1
        if os.environ.get("RANK", "0") == "1" and self.steps == 2:
            raise ValueError("label 11 is out of range")
        return super().loss(output, batch)
