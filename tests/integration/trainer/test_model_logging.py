import importlib
import logging
import subprocess
import sys
from pathlib import Path

import mlflow.pytorch
import pytest
import torch
from mlflow.entities import Metric
from torch import Tensor, nn
from trainingjob_trainer.model_logging import (
    AbandonedError,
    TrainedModel,
    log_model,
    remove_unfinished,
)
from trainingjob_trainer.model_logging.saving import save_model

from tests.support.processes import MlflowServer


class DataDependent(nn.Module):
    """Cannot be traced: its path depends on the values of the images."""

    def forward(self, images: Tensor) -> Tensor:
        if images.sum() > 0:
            return images.flatten(1)[:, :2]
        return -images.flatten(1)[:, :2]


class Unpicklable(DataDependent):
    """Cannot be pickled either."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(2))
        self.stream = (bit for bit in "ab")  # a generator cannot be pickled

    def __deepcopy__(self, memo: dict[int, object]) -> "Unpicklable":
        return Unpicklable()


@pytest.fixture
def run_id(mlflow_server: MlflowServer, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", mlflow_server.uri)
    monkeypatch.delenv("MLFLOW_EXPERIMENT_ID", raising=False)
    return mlflow_server.create_run()


def warnings_of(caplog: pytest.LogCaptureFixture) -> list[str]:
    """Warnings of MLflow and of the trainer.

    What torch says of an export it refuses is its own, and what MLflow 3.14 says of type hints is
    about a class of MLflow's.
    """
    return [
        record.getMessage()
        for record in caplog.records
        if record.levelno >= logging.WARNING
        and not record.name.startswith(("torch.", "mlflow.types.type_hints"))
    ]


def test_a_model_loads_back_without_its_code_and_predicts(
    mlflow_server: MlflowServer,
    run_id: str,
    caplog: pytest.LogCaptureFixture,
    recwarn: pytest.WarningsRecorder,
) -> None:
    model = nn.Sequential(nn.Dropout(), nn.Flatten(), nn.Linear(16, 3)).train()
    images = torch.rand(2, 1, 4, 4)

    uri = log_model(mlflow_server.client, run_id, TrainedModel("model", model, 7), images)

    assert warnings_of(caplog) == []
    assert [str(w.message) for w in recwarn if "mlflow" in str(w.filename)] == []
    more_images = torch.rand(5, 1, 4, 4)
    for address in (uri, f"runs:/{run_id}/model"):
        loaded = mlflow.pytorch.load_model(address)
        assert torch.allclose(loaded(more_images), model(more_images))
    info = mlflow.models.get_model_info(uri)
    assert str(info.signature.inputs) == "[Tensor('float32', (-1, 1, 4, 4))]"
    assert info.saved_input_example_info is not None
    run = mlflow_server.client.get_run(run_id)
    assert run.outputs is not None
    assert [output.step for output in run.outputs.model_outputs] == [7]
    assert run.info.status == "RUNNING"
    assert mlflow.active_run() is None


def test_a_model_that_cannot_be_traced_is_pickled(
    mlflow_server: MlflowServer, run_id: str, caplog: pytest.LogCaptureFixture
) -> None:
    images = torch.rand(2, 1, 4, 4)

    uri = log_model(mlflow_server.client, run_id, TrainedModel("model", DataDependent(), 1), images)

    assert torch.equal(mlflow.pytorch.load_model(uri)(images), images.flatten(1)[:, :2])
    assert mlflow.models.get_model_info(uri).signature is not None
    [warning] = warnings_of(caplog)
    assert warning.startswith("the model cannot be saved as pt2: ")


def test_a_model_that_cannot_be_pickled_leaves_its_weights(
    mlflow_server: MlflowServer, run_id: str, caplog: pytest.LogCaptureFixture
) -> None:
    model = TrainedModel("model", Unpicklable(), 1)

    uri = log_model(mlflow_server.client, run_id, model, torch.rand(2, 1, 4, 4))

    assert uri == f"runs:/{run_id}/model/state_dict.pt"
    path = mlflow.artifacts.download_artifacts(uri)
    assert torch.load(path)["weight"].tolist() == [1.0, 1.0]
    assert len(warnings_of(caplog)) == 2
    assert mlflow_server.client.search_logged_models(["0"], f"source_run_id = '{run_id}'") == []


ALONE = """
import sys
sys.path[:] = [path for path in sys.path if path.endswith((".zip", "python3.11", "lib-dynload"))]
sys.path += {packages!r}
import importlib.util
assert importlib.util.find_spec("trainingjob_trainer") is None
assert importlib.util.find_spec("tests") is None
import mlflow.pytorch, torch
print(mlflow.pytorch.load_model({path!r})(torch.ones(3, 1, 4, 4)).tolist())
"""


def said_alone(model: str | Path, directory: Path) -> str:
    """Return what a model says to ones, in a process that has nothing but packages."""
    packages = [str(Path(str(one.__file__)).parents[1]) for one in (mlflow, torch)]
    program = ALONE.format(packages=packages, path=str(model))
    result = subprocess.run(
        [sys.executable, "-I", "-S", "-c", program],
        cwd=directory,
        capture_output=True,
        text=True,
        timeout=500,
        check=False,
    )
    assert result.returncode == 0, result.stderr
    return result.stdout.splitlines()[-1]


@pytest.mark.parametrize("kind", ["pt2", "pickle"])
def test_a_process_with_nothing_but_the_requirements_can_load_it(
    mlflow_server: MlflowServer, run_id: str, tmp_path: Path, kind: str
) -> None:
    """Python without the `.pth` files by which our packages are found, in another directory."""
    module: nn.Module = DataDependent() if kind == "pickle" else nn.Flatten()
    uri = log_model(
        mlflow_server.client, run_id, TrainedModel("model", module, 1), torch.rand(2, 1, 4, 4)
    )
    path = mlflow.artifacts.download_artifacts(uri, dst_path=str(tmp_path))

    assert said_alone(path, tmp_path) == str(module(torch.ones(3, 1, 4, 4)).tolist())
    requirements = (Path(path) / "requirements.txt").read_text().split()
    assert [line.partition("==")[0] for line in requirements] == ["mlflow", "torch", "numpy"]


def test_a_pickled_model_takes_along_the_files_that_its_own_imports(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    project = tmp_path / "project"
    project.mkdir()
    (project / "halving.py").write_text("def halve(images):\n    return images / 2\n")
    (project / "scaling.py").write_text("import halving\n")
    (project / "halving_net.py").write_text(
        "import scaling\n"
        "from halving import halve\n"
        "from torch import nn\n"
        "class Net(nn.Module):\n"
        "    def forward(self, images):\n"
        "        if images.sum() > 0:\n"  # which no tracer can follow
        "            return halve(images)\n"
        "        return scaling.halving.halve(images)\n"
    )
    monkeypatch.syspath_prepend(project)
    net = importlib.import_module("halving_net").Net()

    saved = save_model(net, torch.rand(2, 1, 4, 4), tmp_path)

    assert saved.format == "pickle"
    ones = torch.ones(3, 1, 4, 4)
    assert said_alone(saved.path, tmp_path) == str((ones / 2).tolist())


def test_a_single_image_leaves_the_batch_size_free(tmp_path: Path) -> None:
    saved = save_model(nn.Flatten(), torch.rand(1, 1, 4, 4), tmp_path)

    assert saved.format == "pt2"
    assert mlflow.pytorch.load_model(str(saved.path))(torch.rand(5, 1, 4, 4)).shape == (5, 16)


def test_a_model_is_linked_without_the_history_of_every_metric(
    mlflow_server: MlflowServer, run_id: str
) -> None:
    client, now = mlflow_server.client, 1_700_000_000_000
    many = [Metric(f"train/{i}", 1.0, now, 7) for i in range(500)]
    validation = [
        Metric("val/loss", value, now + step, step) for step, value in ((3, 0.5), (7, 0.25))
    ]
    client.log_batch(run_id, metrics=[*many, *validation])
    before = mlflow_server.requests("get-history")

    uri = log_model(client, run_id, TrainedModel("model", nn.Flatten(), 7), torch.rand(2, 1, 4, 4))

    assert mlflow_server.requests("get-history") == before + 1
    logged = client.get_logged_model(uri.removeprefix("models:/"))
    assert [(m.key, m.value, m.step) for m in logged.metrics or []] == [("val/loss", 0.25, 7)]
    history = client.get_metric_history(run_id, "val/loss")
    assert [(m.value, m.step) for m in history] == [(0.5, 3), (0.25, 7)]


def test_a_model_is_there_once_and_no_half_of_one_stays(
    mlflow_server: MlflowServer, run_id: str
) -> None:
    """An attempt was killed while it uploaded; the next one, after it logged the model."""
    client, images = mlflow_server.client, torch.rand(2, 1, 4, 4)
    killed = client.create_logged_model("0", "model", run_id, tags={"trainingjob.step": "7"})
    model = TrainedModel("model", nn.Flatten(), 7)

    uris = {log_model(client, run_id, model, images) for _ in range(2)}

    found = client.search_logged_models(["0"], f"source_run_id = '{run_id}'")
    assert {logged.model_uri for logged in found} == uris
    assert killed.model_id not in {logged.model_id for logged in found}


def test_a_model_that_is_given_up_leaves_nothing(mlflow_server: MlflowServer, run_id: str) -> None:
    client, answers = mlflow_server.client, iter([False, True])
    model = TrainedModel("model", nn.Flatten(), 7)

    with pytest.raises(AbandonedError):
        log_model(client, run_id, model, torch.rand(2, 1, 4, 4), lambda: next(answers))
    client.create_logged_model("0", "model", run_id, tags={"trainingjob.step": "7"})
    remove_unfinished(client, run_id)

    assert client.search_logged_models(["0"], f"source_run_id = '{run_id}'") == []
