"""A user's script for Lightning, whose launcher starts the other processes of a node."""

import os
import sys

import lightning
import torch
from torch import Tensor
from torch.utils.data import DataLoader, TensorDataset


class Line(lightning.LightningModule):
    def __init__(self) -> None:
        super().__init__()
        self.layer = torch.nn.Linear(1, 1)

    def training_step(self, batch: list[Tensor], _: int) -> Tensor:
        return torch.nn.functional.mse_loss(self.layer(batch[0]), batch[0])

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.SGD(self.parameters(), lr=0.05)


trainer = lightning.Trainer(
    max_epochs=1,
    accelerator="cpu",
    strategy="ddp",
    devices=int(os.environ["PET_NPROC_PER_NODE"]),
    num_nodes=int(os.environ["NNODES"]),
    enable_progress_bar=False,
    enable_model_summary=False,
    enable_checkpointing=False,
    logger=False,
)
trainer.fit(Line(), DataLoader(TensorDataset(torch.randn(8, 1)), 2))
# One write, so that the lines of ranks do not mix.
sys.stdout.write(f"ranks {trainer.world_size}\n")
