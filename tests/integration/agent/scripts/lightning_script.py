"""A user's script: Lightning with its logger for MLflow, both as they come."""

import os

import lightning
import torch
from lightning.pytorch.loggers import MLFlowLogger
from torch import Tensor
from torch.utils.data import DataLoader, TensorDataset


class Line(lightning.LightningModule):
    def __init__(self) -> None:
        super().__init__()
        self.layer = torch.nn.Linear(1, 1)
        self.save_hyperparameters({"width": 1})

    def training_step(self, batch: list[Tensor], _: int) -> Tensor:
        loss = torch.nn.functional.mse_loss(self.layer(batch[0]), 3 * batch[0] + 1)
        self.log("train_loss", loss)
        return loss

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.SGD(self.parameters(), lr=0.05)


trainer = lightning.Trainer(
    max_epochs=1,
    accelerator="cpu",
    log_every_n_steps=1,
    enable_progress_bar=False,
    enable_model_summary=False,
    enable_checkpointing=False,
    logger=MLFlowLogger(run_name="a name", tracking_uri=os.environ["MLFLOW_TRACKING_URI"]),
)
trainer.fit(Line(), DataLoader(TensorDataset(torch.randn(16, 1)), 4))
