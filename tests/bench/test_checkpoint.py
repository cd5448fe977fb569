"""How long a checkpoint holds the training up, beside torch.save on the step path.

The call itself, and how much slower the steps are while the rest is written beside them.
"""

import os
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import nn
from torch.nn import functional
from trainingjob_trainer.checkpoint import Checkpointer, CheckpointStore

from tests.bench.report import report

ROUNDS = 6
WIDTH = 2048
STEPS_AROUND = 20


class Training:
    """Steps of a model whose checkpoint, with Adam's state, is 150 MB."""

    def __init__(self) -> None:
        torch.manual_seed(0)
        layers = [nn.Linear(WIDTH, WIDTH) for _ in range(3)]
        self.model = nn.Sequential(*layers)
        self.optimizer = torch.optim.Adam(self.model.parameters(), lr=1e-4)
        self.batch = torch.rand(8, WIDTH)

    def step(self) -> float:
        """Seconds of one step."""
        began = time.perf_counter()
        loss = functional.mse_loss(self.model(self.batch), self.batch)
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]  # torch has no annotation here
        self.optimizer.step()
        return time.perf_counter() - began

    def state(self) -> dict[str, Any]:
        """What a checkpoint holds."""
        return {"model": self.model.state_dict(), "optimizer": self.optimizer.state_dict()}


def seconds_of(call: Callable[[], object]) -> float:
    began = time.perf_counter()
    call()
    return time.perf_counter() - began


def by_torch_save(training: Training, directory: Path, number: int) -> tuple[float, float]:
    """On the step path, to the disk: what is not there is no checkpoint."""

    def save() -> None:
        with (directory / f"{number % 3}.pt").open("wb") as file:
            torch.save({"step": number, **training.state()}, file)
            file.flush()
            os.fsync(file.fileno())

    return seconds_of(save), 0.0


def by_ours(training: Training, saving: Checkpointer, number: int) -> tuple[float, float]:
    """Seconds of the call, and by how much the steps beside the writing are longer."""
    usual = statistics.median(training.step() for _ in range(STEPS_AROUND))
    call = seconds_of(lambda: saving.save(number, {}, training.state()))
    steps = []
    while saving.busy:
        steps.append(training.step())
    slower = statistics.median(steps) - usual if steps else 0.0
    return call, max(slower, 0.0) * len(steps)


def test_how_long_a_checkpoint_holds_the_training_up(tmp_path: Path) -> None:
    torch.set_num_threads(1)
    training = Training()
    store = CheckpointStore(tmp_path / "ours", keep=3)
    saving = Checkpointer(store, rank=0, world_size=1, every_seconds=0)
    plain: list[float] = []
    calls: list[float] = []
    whole: list[float] = []
    for number in range(ROUNDS + 1):
        training.step()
        saved, _ = by_torch_save(training, tmp_path, number)
        call, beside = by_ours(training, saving, number)
        if number > 0:  # the first of each makes its memory and its files
            plain.append(saved)
            calls.append(call)
            whole.append(call + beside)
    assert len(store.steps()) == 3
    size = (tmp_path / "0.pt").stat().st_size
    base = statistics.median(plain)
    rows = {
        "torch.save and fsync on the step path": base,
        "ours: the call": statistics.median(calls),
        "ours: the call and the slower steps beside the writing": statistics.median(whole),
    }
    report(
        "checkpoint",
        f"A checkpoint of {size / 1e6:.0f} MB holds the training up (median of {ROUNDS})",
        ("milliseconds", "ratio"),
        *((name, f"{1e3 * one:.0f}", f"{one / base:.2f}") for name, one in rows.items()),
    )
