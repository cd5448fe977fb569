"""Saves a large model as the end of a training does; prints its bytes, and those it took more."""

import sys
from pathlib import Path

import torch
from torch import nn
from trainingjob_trainer.model_logging.saving import save_model
from trainingjob_trainer.model_logging.shards import size_of

from tests.support.memory import PeakMemory

WIDTH, LAYERS = 2048, 24


def main(directory: Path) -> None:
    # What is imported and made for the first model is nothing of a large one.
    save_model(nn.Linear(2, 2), torch.rand(2, 2), directory / "small", 1)
    model = nn.Sequential(*(nn.Linear(WIDTH, WIDTH) for _ in range(LAYERS)))
    with PeakMemory() as peak:
        saved = save_model(model, torch.rand(2, WIDTH), directory / "large", 100_000_000)
    print(saved.format, size_of(model), peak.bytes)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
