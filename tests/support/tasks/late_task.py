"""The tiny task of two ranks, of which one comes so late to a step that the other has given up."""

import os
from pathlib import Path

from torch import Tensor
from trainingjob_trainer.tasks.images import ImageBatch

from tests.support.tasks.tiny_task import TinyTask
from tests.support.waiting import wait_for


class LateTask(TinyTask):
    def loss(self, output: Tensor, batch: ImageBatch) -> Tensor:
        loss = super().loss(output, batch)
        if (self.rank, int(self.counting.count)) == (1, 2):
            record = Path(os.environ["TORCH_FR_DUMP_TEMP_FILE"] + "0")
            wait_for("rank 0 has given up", record.exists, 120, poll=0.05)
        return loss
