"""A user's task that fails as one does whose GPU is gone."""

from torch import Tensor
from trainingjob_trainer.tasks.images import ImageBatch

from tests.support.tasks.tiny_task import TinyTask


class CudaErrorTask(TinyTask):
    def loss(self, output: Tensor, batch: ImageBatch) -> Tensor:
        if output.requires_grad and len(batch["image"]):
            raise RuntimeError("CUDA error: unspecified launch failure")
        return super().loss(output, batch)
