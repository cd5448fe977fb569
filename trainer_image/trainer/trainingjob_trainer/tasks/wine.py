"""Tabular: three sorts of wine by 13 measurements, from the package mlxtend."""

import csv
import io
from collections.abc import Sequence
from importlib.resources import files
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.utils.data import DataLoader, Dataset, Subset, TensorDataset

from trainingjob_trainer.sampling import ResumableSampler
from trainingjob_trainer.task import (
    Batch,
    DataRequest,
    DatasetVersion,
    Loaders,
    SampleFile,
    Task,
)

_SORTS = 3
_SHOWN = 24
_EXAMPLES = 4


class Standardized(nn.Module):
    """Measurements of mean 0 and deviation 1, by what the training data have."""

    mean: Tensor
    deviation: Tensor

    def __init__(self, measurements: Tensor) -> None:
        super().__init__()
        self.register_buffer("mean", measurements.mean(dim=0))
        self.register_buffer("deviation", measurements.std(dim=0))

    def forward(self, measurements: Tensor) -> Tensor:
        """Standardize (N, 13)."""
        return (measurements - self.mean) / self.deviation


class WineTask(Task):
    """Batches are lists of measurements (N, 13) and sorts (N,). Its setting: width of the model."""

    name = "wine"

    def __init__(self, width: int = 32) -> None:
        self.width = width
        self.measurements, self.sorts = load_wine()
        # The table has the sorts in order: every fifth row is one to validate by.
        self._validating = torch.arange(len(self.sorts)) % 5 == 0

    def build_model(self) -> nn.Module:
        """A hidden layer, (N, 13) → (N, 3), on measurements as they are in the table."""
        return nn.Sequential(
            Standardized(self.measurements[~self._validating]),
            nn.Linear(self.measurements.shape[1], self.width),
            nn.ReLU(),
            nn.Dropout(0.2),
            nn.Linear(self.width, _SORTS),
        )

    def build_loaders(self, request: DataRequest) -> Loaders:
        """142 rows to train, 36 to validate; each rank gets its share of both."""
        data: Dataset[tuple[Tensor, ...]] = TensorDataset(self.measurements, self.sorts)
        train = Subset(data, (~self._validating).nonzero().flatten().tolist())
        share = self._validating.nonzero().flatten()[request.rank :: request.world_size]
        return Loaders(
            train=DataLoader(train, request.batch_size, sampler=ResumableSampler(train, request)),
            validation=DataLoader(Subset(data, share.tolist()), 36),
        )

    def forward(self, model: nn.Module, batch: Batch) -> Tensor:
        """Score the sorts."""
        scores: Tensor = model(batch[0])
        return scores

    def loss(self, output: Tensor, batch: Batch) -> Tensor:
        """Cross-entropy."""
        return functional.cross_entropy(output, batch[1])

    def count(self, batch: Batch) -> int:
        """Return the number of rows."""
        return len(batch[1])

    def metrics(self, output: Tensor, batch: Batch) -> dict[str, Tensor]:
        """Accuracy."""
        return {"accuracy": (output.argmax(dim=1) == batch[1]).float().mean()}

    def example(self, batch: Batch) -> Tensor:
        """Return the first rows."""
        rows: Tensor = batch[0][:_EXAMPLES]
        return rows

    def draw_samples(self, model: nn.Module, batch: Batch, epoch: int) -> SampleFile:  # noqa: ARG002 - the file's name has it
        """Return a table of the first rows: their sort, the predicted one, and its confidence."""
        confidences, predicted = self.forward(model, batch)[:_SHOWN].softmax(dim=1).max(dim=1)
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        writer.writerow(["sort", "prediction", "confidence", "correct"])
        for sort, said, confidence in zip(
            batch[1][:_SHOWN].tolist(), predicted.tolist(), confidences.tolist(), strict=True
        ):
            writer.writerow([sort, said, f"{confidence:.3f}", "yes" if sort == said else "no"])
        return SampleFile(".csv", text.getvalue().encode())

    def datasets(self) -> Sequence[DatasetVersion]:
        """Return the file of all measurements."""
        return [DatasetVersion.of_file("wine", wine_file())]


def wine_file() -> Path:
    """Return where the package mlxtend has them."""
    return Path(str(files("mlxtend"))) / "data" / "data" / "wine.csv"


def load_wine() -> tuple[Tensor, Tensor]:
    """Read measurements (178, 13) and sorts (178,).

    Raises:
        ImportError: the extra `mnist` is not installed.
    """
    with wine_file().open("r") as text:
        table = np.loadtxt(text, delimiter=",", dtype=np.float32)
    return torch.from_numpy(table[:, :-1]), torch.from_numpy(table[:, -1].astype(np.int64))
