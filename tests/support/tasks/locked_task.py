"""A user's task whose model can be neither copied nor pickled."""

import threading

from torch import nn
from trainingjob_trainer.tasks.mnist import MnistTask


class Locked(nn.Sequential):
    def __init__(self, *parts: nn.Module) -> None:
        super().__init__(*parts)
        self.lock = threading.Lock()


class LockedTask(MnistTask):
    name = "locked"

    def build_model(self) -> nn.Module:
        return Locked(super().build_model())
