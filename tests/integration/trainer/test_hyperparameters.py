"""What an attempt builds with other values than the one before is used, or refused: not ignored."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn
from torch.optim import SGD
from torch.optim.lr_scheduler import (
    ConstantLR,
    CosineAnnealingLR,
    ExponentialLR,
    LambdaLR,
    LRScheduler,
    OneCycleLR,
    SequentialLR,
)
from trainingjob_trainer.checkpoint import CheckpointStore
from trainingjob_trainer.hyperparameters import Hyperparameters
from trainingjob_trainer.options import OptionError
from trainingjob_trainer.stepping import learning_rate_factor

from tests.integration.trainer.attempts import Attempts

Build = Callable[[SGD], LRScheduler]


@dataclass
class Trained:
    """An optimizer with its scheduler, as an attempt builds them."""

    optimizer: SGD
    scheduler: LRScheduler
    hyperparameters: Hyperparameters

    @classmethod
    def built(cls, rate: float, build: Build, **options: Any) -> "Trained":
        optimizer = SGD(nn.Linear(1, 1).parameters(), lr=rate, **options)
        hyperparameters = Hyperparameters(optimizer)
        scheduler = build(optimizer)
        hyperparameters.take(scheduler)
        return cls(optimizer, scheduler, hyperparameters)

    def steps(self, count: int) -> "Trained":
        for _ in range(count):
            self.optimizer.step()
            self.scheduler.step()
        return self

    def resumed_from(self, before: "Trained") -> "Trained":
        for name in ("optimizer", "scheduler", "hyperparameters"):
            getattr(self, name).load_state_dict(getattr(before, name).state_dict())
        return self

    @property
    def rate(self) -> float:
        return float(self.optimizer.param_groups[0]["lr"])


def by_options(schedule: Any, warmup: int, total: int) -> Build:
    return lambda optimizer: LambdaLR(optimizer, learning_rate_factor(schedule, warmup, total))


def cosine(total: int) -> Build:
    return lambda optimizer: CosineAnnealingLR(optimizer, T_max=total)


def one_cycle(highest: float) -> Build:
    return lambda optimizer: OneCycleLR(optimizer, max_lr=highest, total_steps=20)


def exponential(optimizer: SGD) -> LRScheduler:
    return ExponentialLR(optimizer, gamma=0.5)


def several(rate: float) -> Build:
    return lambda optimizer: SequentialLR(
        optimizer, [ConstantLR(optimizer, rate), ExponentialLR(optimizer, 0.5)], milestones=[2]
    )


@pytest.mark.parametrize(
    ("before", "after", "rate", "later"),
    [
        ((0.1, by_options("constant", 0, 10)), (0.1, by_options("constant", 0, 10)), 0.1, 0.1),
        ((0.1, by_options("constant", 0, 10)), (0.2, by_options("constant", 0, 10)), 0.2, 0.2),
        ((0.1, by_options("linear", 0, 10)), (0.1, by_options("linear", 0, 20)), 0.08, 0.075),
        ((0.1, by_options("linear", 0, 10)), (0.1, by_options("constant", 0, 10)), 0.1, 0.1),
        ((0.1, by_options("constant", 0, 10)), (0.1, by_options("constant", 7, 10)), 0.0625, 0.075),
        ((0.8, exponential), (0.8, exponential), 0.05, 0.025),
        ((0.8, exponential), (1.6, exponential), 0.1, 0.05),
    ],
)
def test_the_rate_of_now_is_used_from_the_first_step_on(
    before: tuple[float, Build], after: tuple[float, Build], rate: float, later: float
) -> None:
    first = Trained.built(*before).steps(4)

    second = Trained.built(*after).resumed_from(first)

    assert second.rate == pytest.approx(rate)
    assert second.steps(1).rate == pytest.approx(later)


def test_without_a_change_it_is_the_same_to_the_last_bit(caplog: pytest.LogCaptureFixture) -> None:
    build = by_options("cosine", 3, 17)
    first = Trained.built(0.1, build).steps(7)

    second = Trained.built(0.1, build).resumed_from(first)

    assert second.rate == first.rate
    assert caplog.text == ""


@pytest.mark.parametrize(
    ("before", "after", "change"),
    [
        ({"weight_decay": 0.1}, {"weight_decay": 0.2}, "optimizer weight_decay 0.1 → 0.2"),
        ({"momentum": 0.9}, {"momentum": 0.8}, "optimizer momentum 0.9 → 0.8"),
    ],
)
def test_the_optimizer_has_what_it_is_built_with(
    before: dict[str, float],
    after: dict[str, float],
    change: str,
    caplog: pytest.LogCaptureFixture,
) -> None:
    first = Trained.built(0.1, exponential, **before).steps(1)

    second = Trained.built(0.1, exponential, **after).resumed_from(first)

    assert {name: second.optimizer.param_groups[0][name] for name in after} == after
    assert f"used from now on: {change}" in caplog.text


@pytest.mark.parametrize(
    ("before", "after", "place", "value"),
    [
        (cosine(10), cosine(20), "T_max", 20),
        (one_cycle(0.1), one_cycle(0.3), "max_lr", 0.3),
    ],
)
def test_a_schedule_of_the_task_has_what_it_is_built_with(
    before: Build, after: Build, place: str, value: float
) -> None:
    second = Trained.built(0.1, after).resumed_from(Trained.built(0.1, before).steps(3))

    holder = {**second.optimizer.param_groups[0], **second.scheduler.state_dict()}
    assert holder[place] == value


def test_a_change_inside_of_a_schedule_of_several_is_refused() -> None:
    first = Trained.built(0.1, several(0.3)).steps(1)

    Trained.built(0.1, several(0.3)).resumed_from(first)
    with pytest.raises(OptionError, match="the schedule of the task was built with other values"):
        Trained.built(0.1, several(0.4)).resumed_from(first)


def test_a_training_goes_on_with_another_learning_rate_and_says_so(tmp_path: Path) -> None:
    options = ("--batch-size", "20", "--epochs", "2")
    first = Attempts(tmp_path, (*options, "--learning-rate", "0.01"))
    assert first.run(TINY_SIGNAL="2 0", TINY_SIGNAL_NAME="SIGTERM") == [143]

    second = Attempts(tmp_path, (*options, "--learning-rate", "0.005", "--clip-norm", "1"))
    assert second.run() == [0], second.output()

    assert "used from now on: learning_rate 0.01 → 0.005, clip_norm None → 1.0" in second.output()
    store = CheckpointStore(tmp_path / "checkpoints", keep=3)
    shared, _ = store.read(store.steps()[0], rank=0)
    [group] = shared["optimizer"]["param_groups"]
    assert (group["lr"], group["initial_lr"]) == (0.005, 0.005)
    assert torch.is_tensor(shared["model"]["2.weight"])
