"""A user's task whose rank 1 hangs in native code, with the interpreter's lock, until released."""

import ctypes
import os

from torch import Tensor
from trainingjob_trainer.tasks.images import ImageBatch

from tests.support.tasks.tiny_task import TinyTask


class HangingTask(TinyTask):
    def loss(self, output: Tensor, batch: ImageBatch) -> Tensor:
        if self.rank == 1 and int(self.counting.count) == 3:
            self.hang()
        return super().loss(output, batch)

    def hang(self) -> None:
        pipe = os.open(os.environ["HANG_PIPE"], os.O_RDWR)
        ctypes.PyDLL(None).read(pipe, ctypes.create_string_buffer(1), 1)
        os.close(pipe)
