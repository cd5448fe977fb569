"""A user's script: Lightning without a logger, by the package that the first argument names."""

import importlib
import pickle
import sys
from typing import Any

import torch
from torch import Tensor
from torch.utils.data import DataLoader, TensorDataset

lightning: Any = importlib.import_module(sys.argv[1])
Module: Any = lightning.LightningModule


class Line(Module):
    def __init__(self) -> None:
        super().__init__()
        self.layer = torch.nn.Linear(1, 1)

    def training_step(self, batch: list[Tensor], _: int) -> Tensor:
        return torch.nn.functional.mse_loss(self.layer(batch[0]), 3 * batch[0] + 1)

    def validation_step(self, batch: list[Tensor], index: int) -> None:
        self.training_step(batch, index)

    test_step = predict_step = validation_step

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.SGD(self.parameters(), lr=0.05)


trainer = lightning.Trainer(
    max_epochs=3,
    accumulate_grad_batches=2,
    accelerator="cpu",
    logger=False,
    enable_progress_bar=False,
    enable_model_summary=False,
    enable_checkpointing=False,
)
pickle.dumps(trainer.callbacks)  # as the launcher does that starts its ranks by `spawn`
loader = DataLoader(TensorDataset(torch.randn(16, 1)), 4)
line = Line()
trainer.fit(line, loader, loader)
trainer.test(line, loader)
trainer.predict(line, loader)
