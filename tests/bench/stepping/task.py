"""The same training as a task of the trainer."""

from torch import Tensor, nn
from torch.nn import functional
from trainingjob_trainer.task import DataRequest, Loaders, Task

from tests.bench.stepping import work


class SteppingTask(Task):
    """Has the bare loop's model, batches, loss and optimizer."""

    name = "stepping"

    def build_model(self) -> nn.Module:
        return work.build_model()

    def build_loaders(self, request: DataRequest) -> Loaders:  # noqa: ARG002 - one batch for all
        return Loaders(train=work.TimedBatches(), validation=[])

    def forward(self, model: nn.Module, batch: Tensor) -> Tensor:
        output: Tensor = model(batch)
        return output

    def loss(self, output: Tensor, batch: Tensor) -> Tensor:
        return functional.mse_loss(output, batch)

    def count(self, batch: Tensor) -> int:
        return len(batch)
