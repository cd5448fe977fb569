"""What the picture of an epoch costs, beside the epoch: MNIST, 4,000 images."""

import statistics
import time
from pathlib import Path

import torch
from torch.nn import functional
from trainingjob_trainer.samples import save_sample_predictions
from trainingjob_trainer.task import DataRequest
from trainingjob_trainer.tasks.mnist import MnistTask

from tests.bench.report import report

ROUNDS = 5


def test_what_the_picture_of_an_epoch_costs(tmp_path: Path) -> None:
    task = MnistTask()
    model = task.build_model()
    optimizer = task.build_optimizer(model, 1e-3)
    loaders = task.build_loaders(DataRequest(64, rank=0, world_size=1, seed=0))
    epochs: list[float] = []
    pictures: list[float] = []
    for epoch in range(1, ROUNDS + 1):
        began = time.perf_counter()
        for batch in loaders.train:
            optimizer.zero_grad(set_to_none=True)
            loss = functional.cross_entropy(model(batch["image"]), batch["label"])
            loss.backward()  # type: ignore[no-untyped-call]  # torch has no annotation here
            optimizer.step()
        epochs.append(time.perf_counter() - began)
        began = time.perf_counter()
        cpu = torch.device("cpu")
        assert save_sample_predictions(model, loaders.validation, cpu, epoch, tmp_path) is not None
        pictures.append(time.perf_counter() - began)

    epoch_seconds, picture = statistics.median(epochs), statistics.median(pictures)
    report(
        "samples",
        f"One epoch (median of {ROUNDS})",
        ("milliseconds", "share"),
        ("training on 4,000 images", f"{1e3 * epoch_seconds:.0f}", ""),
        (
            "the picture of 16 validation images",
            f"{1e3 * picture:.0f}",
            f"{100 * picture / epoch_seconds:.1f} %",
        ),
    )
