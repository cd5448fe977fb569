"""A user's task that prints, also in a forked process and past Python, and then fails."""

import os
import sys

from torch import Tensor
from trainingjob_trainer.task import Batch
from trainingjob_trainer.tasks.mnist import MnistTask


class PrintingTask(MnistTask):
    name = "printing"

    def loss(self, output: Tensor, batch: Batch) -> Tensor:
        print(f"the key is {os.environ['DATA_API_KEY']}")
        sys.stderr.write("a progress bar\r")
        sys.stderr.write("its end\n")
        if os.fork() == 0:
            print("in a forked process", flush=True)
            os._exit(0)
        os.wait()
        os.write(1, b"past Python\n")
        raise ValueError(f"label 11 is out of range: {len(output)} of {sorted(batch)}")
