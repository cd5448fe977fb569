"""A model that fills most of the memory is saved in shards, and comes back from them."""

import subprocess
import sys
from pathlib import Path

import mlflow.pyfunc
import mlflow.pytorch
import numpy as np
import pytest
import torch
from torch import Tensor, nn
from trainingjob_trainer.model_logging.saving import save_model

from tests.integration.trainer.test_model_logging import said_alone

REPOSITORY = Path(__file__).parents[3]
SHARD_BYTES = 320


class Tied(nn.Module):
    """Two layers with one weight, buffers of any kind, and code that is in no package."""

    scale: Tensor
    views: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Linear(8, 8)
        self.second = nn.Linear(8, 8)
        self.second.weight = self.first.weight
        self.second.bias.requires_grad_(False)
        self.register_buffer("scale", torch.rand(8, 8)[:, ::2].sum(1), persistent=False)
        self.register_buffer("views", torch.arange(64.0).reshape(8, 8).t())

    def forward(self, values: Tensor) -> Tensor:
        hidden: Tensor = self.second(self.first(values))
        return (hidden @ self.views) * self.scale


@pytest.fixture(autouse=True)
def tracking(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where MLflow looks for models when it loads one; else it makes a database where it is."""
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path / 'mlflow.db'}")


@pytest.fixture
def saved(tmp_path: Path) -> tuple[nn.Module, Path]:
    model = Tied().eval()
    one = save_model(model, torch.rand(2, 8), tmp_path, SHARD_BYTES)
    assert one.format == "shards"
    return model, one.path


def test_a_large_model_is_in_files_of_a_bounded_size(saved: tuple[nn.Module, Path]) -> None:
    _, path = saved

    assert sorted(file.name for file in (path / "data").iterdir()) == [
        "model.pth",
        "pickle_module_info.txt",
        "shard_00001-of-00002.pt",
        "shard_00002-of-00002.pt",
    ]
    shards = [torch.load(file, weights_only=True) for file in sorted((path / "data").glob("s*"))]
    # The two layers have one weight.
    assert [[one.nbytes for one in shard.values()] for shard in shards] == [
        [256, 32, 32],
        [32, 256],
    ]


def test_it_loads_as_any_model_of_mlflow_does(saved: tuple[nn.Module, Path]) -> None:
    model, path = saved
    values = torch.rand(5, 8)

    loaded = mlflow.pytorch.load_model(str(path))

    assert torch.equal(loaded(values), model(values))
    assert loaded.first.weight is loaded.second.weight
    assert {name: one.requires_grad for name, one in loaded.named_parameters()} == {
        "first.weight": True,
        "first.bias": True,
        "second.bias": False,
    }
    assert loaded.views.stride() == (1, 8)
    predicted = mlflow.pyfunc.load_model(str(path)).predict(values.numpy())
    assert np.array_equal(predicted, model(values).detach().numpy())
    info = mlflow.models.get_model_info(str(path))
    assert str(info.signature) == (
        "inputs: \n  [Tensor('float32', (-1, 8))]\n"
        "outputs: \n  [Tensor('float32', (-1, 8))]\n"
        "params: \n  None\n"
    )
    assert info.saved_input_example_info is not None


def test_a_process_with_nothing_but_the_requirements_can_load_it(tmp_path: Path) -> None:
    model = nn.Sequential(nn.Flatten(), nn.Linear(16, 16)).eval()
    saved = save_model(model, torch.rand(2, 1, 4, 4), tmp_path, SHARD_BYTES)

    assert said_alone(saved.path, tmp_path) == str(model(torch.ones(3, 1, 4, 4)).tolist())


def test_two_models_in_one_process_have_each_their_own_tensors(tmp_path: Path) -> None:
    paths = []
    for number in (1.0, 2.0):
        model = nn.Linear(16, 16)
        nn.init.constant_(model.weight, number)
        directory = tmp_path / str(number)
        directory.mkdir()
        paths.append(save_model(model, torch.rand(2, 16), directory, SHARD_BYTES).path)

    loaded = [mlflow.pytorch.load_model(str(path)) for path in paths]

    assert [one.weight.mean().item() for one in loaded] == [1.0, 2.0]


def test_a_model_that_is_changed_leaves_its_files_as_they_are(
    saved: tuple[nn.Module, Path],
) -> None:
    model, path = saved
    changed = mlflow.pytorch.load_model(str(path))
    with torch.no_grad():
        changed.first.weight.zero_()

    again = mlflow.pytorch.load_model(str(path))

    assert torch.equal(again.first.weight, model.get_parameter("first.weight"))


def test_to_save_a_model_takes_a_fraction_of_its_memory(tmp_path: Path) -> None:
    """Measured in a process of its own, with a model of 400 MB."""
    for name in ("small", "large"):
        (tmp_path / name).mkdir()
    command = [sys.executable, "-m", "tests.integration.trainer.saving", str(tmp_path)]
    output = subprocess.run(command, cwd=REPOSITORY, check=True, stdout=subprocess.PIPE, text=True)

    kind, size, more = output.stdout.split()[-3:]

    assert kind == "shards"
    assert int(more) <= 0.3 * int(size), f"{int(more):,} bytes for a model of {int(size):,}"
