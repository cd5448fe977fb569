"""One optimizer step."""

import math
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn
from trainingjob_trainer.distributed import Ranks
from trainingjob_trainer.options import OptionError, RunOptions, Schedule
from trainingjob_trainer.parallel.replicated import Replicated
from trainingjob_trainer.stepping import (
    Stepper,
    TrainingModes,
    check_compiler,
    learning_rate_factor,
)
from trainingjob_trainer.task import DataRequest, Loaders
from trainingjob_trainer.tasks.images import ImageBatch, ImageTask

CPU = torch.device("cpu")


class Line(ImageTask):
    """y = w·x, by plain gradient descent."""

    name = "line"

    def build_model(self) -> nn.Module:
        model = nn.Linear(1, 1, bias=False)
        nn.init.ones_(model.weight)
        return nn.Sequential(nn.Flatten(), model)

    def build_optimizer(self, model: nn.Module, learning_rate: float) -> torch.optim.Optimizer:
        return torch.optim.SGD(model.parameters(), lr=learning_rate)

    def build_loaders(self, request: DataRequest) -> Loaders:
        raise NotImplementedError

    def loss(self, output: Tensor, batch: ImageBatch) -> Tensor:
        return (output.float() - batch["target"]).square().mean()


def batch(*values: float) -> ImageBatch:
    images = torch.tensor(values, dtype=torch.float32).reshape(-1, 1, 1, 1)
    return {"image": images, "target": 3 * images.reshape(-1, 1)}


def weight(stepper: Stepper) -> float:
    return next(iter(stepper.model.parameters())).item()


def stepper(**options: object) -> Stepper:
    chosen = RunOptions(task="line", learning_rate=0.1, **options)  # type: ignore[arg-type]
    return Stepper(Line(), chosen, CPU, total_steps=10, parallel=Replicated(), ranks=Ranks())


def test_accumulated_batches_are_one_large_batch() -> None:
    parts, whole = stepper(accumulate=2), stepper()

    means = parts.step(iter([batch(1, 2), batch(3, 4)]), 2)
    expected = whole.step(iter([batch(1, 2, 3, 4)]), 1)

    assert weight(parts) == pytest.approx(weight(whole))
    assert means.samples == expected.samples == 4
    assert means.means()["loss"] == pytest.approx(expected.means()["loss"])


@pytest.mark.parametrize(("clip_norm", "moved"), [(None, 0.4), (0.5, 0.05), (100.0, 0.4)])
def test_a_long_gradient_is_clipped(clip_norm: float | None, moved: float) -> None:
    one = stepper(clip_norm=clip_norm)

    one.step(iter([batch(1)]), 1)

    assert weight(one) == pytest.approx(1 + moved)


@pytest.mark.parametrize("precision", ["fp32", "bf16", "fp16"])
def test_all_precisions_learn(precision: str) -> None:
    one = stepper(precision=precision)

    for _ in range(40):
        one.step(iter([batch(1, -1)]), 1)

    assert weight(one) == pytest.approx(3, abs=0.05)


def test_a_step_with_infinite_gradients_is_left_out_and_the_schedule_waits_for_it() -> None:
    one = stepper(precision="fp16", schedule="linear")

    one.step(iter([batch(1e30)]), 1)

    assert weight(one) == 1
    assert one.learning_rate == 0.1


@pytest.mark.parametrize(
    ("schedule", "warmup", "factors"),
    [
        ("constant", 0, [1, 1, 1, 1, 1]),
        ("linear", 0, [1, 0.75, 0.5, 0.25, 0]),
        ("cosine", 0, [1, (1 + math.sqrt(0.5)) / 2, 0.5, (1 - math.sqrt(0.5)) / 2, 0]),
        ("constant", 3, [0.25, 0.5, 0.75, 1, 1]),
        ("linear", 2, [1 / 3, 2 / 3, 1, 0.5, 0]),
        ("linear", 9, [0.1, 0.2, 0.3, 0.4, 0.5]),
    ],
)
def test_the_learning_rate(schedule: Schedule, warmup: int, factors: list[float]) -> None:
    factor = learning_rate_factor(schedule, warmup, total_steps=4)

    assert [factor(step) for step in range(5)] == pytest.approx(factors)


def test_a_compiled_model_takes_the_same_step() -> None:
    plain, compiled = stepper(), stepper(compile=True)

    for one in (plain, compiled):
        one.step(iter([batch(1, 2)]), 1)

    assert weight(compiled) == pytest.approx(weight(plain))
    names = [list(one.parts["model"].state_dict()) for one in (plain, compiled)]
    assert names[0] == names[1]


@pytest.mark.parametrize(
    ("device", "environment", "missing"),
    [
        ("cpu", {}, "g++"),
        ("cpu", {"CXX": "icpx"}, "icpx"),
        ("cuda", {}, "gcc or clang"),
        ("cuda", {"CC": "/opt/cc"}, "/opt/cc"),
    ],
)
def test_without_a_compiler_the_option_is_named_before_the_first_step(
    device: str,
    environment: dict[str, str],
    missing: str,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    """As in the trainer image, which has none."""
    monkeypatch.setenv("PATH", str(tmp_path))
    for variable in ("CC", "CXX"):
        monkeypatch.delenv(variable, raising=False)
    for variable, value in environment.items():
        monkeypatch.setenv(variable, value)

    with pytest.raises(OptionError) as raised:
        check_compiler(torch.device(device))

    assert str(raised.value).startswith(
        f"--compile: torch.compile needs a compiler, and there is no {missing} on the PATH. "
    )
    assert "apt-get install --yes g++" in str(raised.value)


def test_a_frozen_batchnorm_stays_so_and_the_rest_trains() -> None:
    frozen = nn.BatchNorm1d(1).eval()
    model = nn.Sequential(frozen, nn.Sequential(nn.Dropout(), nn.BatchNorm1d(1)))

    TrainingModes(model).begin_training()

    assert [part for part in model.modules() if not part.training] == [frozen]


def test_a_model_that_comes_in_evaluation_mode_trains_as_a_whole() -> None:
    """As those of model hubs do."""
    model = nn.Sequential(nn.BatchNorm1d(1), nn.Dropout()).eval()

    TrainingModes(model).begin_training()

    assert all(part.training for part in model.modules())


class FrozenLine(Line):
    def build_model(self) -> nn.Module:
        model = super().build_model()
        return nn.Sequential(model, nn.BatchNorm1d(1).eval())


def test_a_step_and_a_validation_leave_the_statistics_of_a_frozen_batchnorm() -> None:
    chosen = RunOptions(task="line", learning_rate=0.1)
    one = Stepper(FrozenLine(), chosen, CPU, 10, Replicated(), Ranks())
    before = one.model[1].running_mean.clone()  # type: ignore[index]  # a Sequential

    for _ in range(2):
        one.step(iter([batch(1, 2)]), 1)
        one.model.eval()
        one.evaluate(batch(1, 2))

    assert torch.equal(one.model[1].running_mean, before)  # type: ignore[index]  # as above


def test_a_training_without_a_compiler_ends_before_it_begins(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv("CXX", raising=False)

    with pytest.raises(OptionError, match=r"--compile: torch\.compile needs a compiler"):
        stepper(compile=True)
