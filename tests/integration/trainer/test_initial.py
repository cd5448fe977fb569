"""A training begins with weights from a file, a checkpoint or MLflow, or says why it cannot."""

from pathlib import Path

import pytest
import torch
from torch import nn
from trainingjob_trainer.checkpoint import CheckpointStore, Part, split
from trainingjob_trainer.distributed import Ranks
from trainingjob_trainer.initial import load_initial_weights
from trainingjob_trainer.model_logging import TrainedModel, log_model
from trainingjob_trainer.options import OptionError

from tests.integration.trainer.attempts import Attempts
from tests.support.processes import MlflowServer


def model() -> nn.Sequential:
    return nn.Sequential(nn.Flatten(), nn.Linear(4, 2), nn.BatchNorm1d(2))


def weights(of: nn.Module) -> dict[str, object]:
    return {name: one.tolist() for name, one in of.state_dict().items()}


def loaded(source: str | Path) -> dict[str, object]:
    begun = model()
    load_initial_weights(begun, str(source), Ranks(), first=True)
    return weights(begun)


@pytest.fixture
def before() -> nn.Module:
    return model()


def test_of_a_file(before: nn.Module, tmp_path: Path) -> None:
    torch.save(before.state_dict(), tmp_path / "weights.pt")

    assert loaded(tmp_path / "weights.pt") == weights(before)


@pytest.mark.parametrize("named", [".", "step_000000007"])
def test_of_a_checkpoint_without_its_optimizer(
    before: nn.Module, tmp_path: Path, named: str
) -> None:
    """The newest of a directory, or the one that is named."""
    store = CheckpointStore(tmp_path, keep=3)
    for step, module in ((3, model()), (7, before)):
        skeleton, tensors = split({"model": module.state_dict(), "optimizer": {"m": torch.ones(9)}})
        store.write(step, Part({}, skeleton, tensors))

    assert loaded(tmp_path / named) == weights(before)


@pytest.fixture
def run(mlflow_server: MlflowServer, run_id: str, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", mlflow_server.uri)
    return run_id


def test_of_a_model_in_mlflow(mlflow_server: MlflowServer, run: str, before: nn.Module) -> None:
    trained = TrainedModel("model", before.eval(), 7)
    uri = log_model(mlflow_server.client, run, trained, torch.rand(2, 1, 2, 2))

    assert uri.startswith("models:/")
    assert loaded(uri) == weights(before)
    assert loaded(f"runs:/{run}/model") == weights(before)


def test_of_bare_weights_in_mlflow(
    mlflow_server: MlflowServer, run: str, before: nn.Module
) -> None:
    """Of a model that could not be saved."""
    trained = TrainedModel("model", before, 7)
    uri = log_model(mlflow_server.client, run, trained, example=None)

    assert uri == f"runs:/{run}/model/state_dict.pt"
    assert loaded(uri) == weights(before)


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("missing.pt", "No such file or directory"),
        ("tensor.pt", "there is a Tensor in it, not a state dict"),
        (".", "there is no checkpoint in it"),
        ("models:/nobody/1", "nobody"),
        (
            "other.pt",
            "not of this model: 1.weight is missing, 1.bias is missing, .* and 6 more",
        ),
        ("wider.pt", r"not of this model: 1.weight is \(2, 5\), not \(2, 4\)"),
    ],
)
@pytest.mark.usefixtures("run")
def test_what_cannot_be_used_names_the_option(
    tmp_path: Path, source: str, message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    torch.save(torch.ones(2), "tensor.pt")
    torch.save(nn.Linear(3, 3).state_dict(), "other.pt")
    wider = nn.Sequential(nn.Flatten(), nn.Linear(5, 2), nn.BatchNorm1d(2))
    torch.save(wider.state_dict(), "wider.pt")

    with pytest.raises(OptionError, match=f"^--initial-weights {source}: .*{message}"):
        loaded(source)


def test_a_checkpoint_has_precedence_and_that_is_said(tmp_path: Path) -> None:
    options = ("--epochs", "1", "--batch-size", "6")
    first = Attempts(tmp_path, options)
    assert first.run() == [0]

    source = str(tmp_path / "checkpoints" / "best")
    assert Attempts(tmp_path, (*options, "--initial-weights", source)).run() == [0]

    expected = f"not used, as training goes on from a checkpoint: initial_weights None → {source}"
    assert expected in first.output()
    assert "begins with the weights" not in first.output()
