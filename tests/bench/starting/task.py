"""The same training as a task of the trainer."""

from torch import Tensor, nn
from torch.nn import functional
from torch.utils.data import DataLoader
from trainingjob_trainer.sampling import ResumableSampler
from trainingjob_trainer.task import DataRequest, Loaders
from trainingjob_trainer.tasks.images import ImageBatch, ImageTask

from tests.bench.starting import mlp


class StartingTask(ImageTask):
    """Says when the second step begins: the first one is done."""

    name = "starting"
    steps = 0

    def build_model(self) -> nn.Module:
        return mlp.build_model()

    def build_loaders(self, request: DataRequest) -> Loaders:
        data = mlp.Images()
        sampler = ResumableSampler(data, request)
        train = DataLoader(data, request.batch_size, sampler=sampler)
        return Loaders(train=train, validation=mlp.loader(request.batch_size))

    def loss(self, output: Tensor, batch: ImageBatch) -> Tensor:
        self.steps += 1
        if self.steps > 1:
            print("stepped", flush=True)
        return functional.cross_entropy(output, batch["label"])
