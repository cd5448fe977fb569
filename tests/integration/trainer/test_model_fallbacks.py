"""Whatever a model is like, something of it is saved, with what can be said about it."""

import json
import logging
import threading
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import mlflow.pytorch
import numpy as np
import pytest
import torch
from mlflow.models import ModelSignature
from torch import Tensor, nn
from trainingjob_trainer.checkpoint import CheckpointStore
from trainingjob_trainer.model_logging import TrainedModel, log_model
from trainingjob_trainer.model_logging.saving import save_model
from trainingjob_trainer.results import example_of, models_of

from tests.support.pod_process import Trainer
from tests.support.processes import MlflowServer


class Named(nn.Linear):
    def forward(self, images: Tensor) -> dict[str, Tensor]:  # type: ignore[override]  # as torchvision's
        return {"out": super().forward(images), "aux": images}


class Several(nn.Linear):
    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:  # type: ignore[override]  # as users do
        return super().forward(images), images


class HalfInside(nn.Linear):
    def forward(self, images: Tensor) -> Tensor:
        return super().forward(images.to(self.weight.dtype))


class OnlyOnGpus(nn.Linear):
    def forward(self, _images: Tensor) -> Tensor:
        raise RuntimeError("this kernel is for GPUs only")


class Locked(nn.Linear):
    """Can be neither copied nor pickled."""

    def __init__(self) -> None:
        super().__init__(4, 2)
        self.lock = threading.Lock()


def description(path: Path) -> ModelSignature:
    written = json.loads((path / "signature.json").read_text())
    signature: ModelSignature = ModelSignature.from_dict(written)
    return signature


@pytest.mark.parametrize(
    ("model", "images", "outputs"),
    [
        (Named(4, 2), torch.rand(3, 4), {"out": (-1, 2), "aux": (-1, 4)}),
        (Several(4, 2), torch.rand(3, 4), {"output_0": (-1, 2), "output_1": (-1, 4)}),
        (nn.Linear(4, 2).bfloat16(), torch.rand(3, 4).bfloat16(), {None: (-1, 2)}),
        (nn.Linear(4, 2).half(), torch.rand(3, 4), {None: (-1, 2)}),
        (HalfInside(4, 2).bfloat16(), torch.rand(3, 4), {None: (-1, 2)}),
    ],
    ids=["dict", "tuple", "bf16", "fp16-by-autocast", "bf16-inside"],
)
def test_a_model_of_several_outputs_or_of_half_precision_has_a_full_signature(
    model: nn.Module,
    images: Tensor,
    outputs: dict[str | None, tuple[int, int]],
    tmp_path: Path,
) -> None:
    saved = save_model(model, images, tmp_path)

    assert saved.format == "pt2"
    info = mlflow.models.get_model_info(str(saved.path))
    assert str(info.signature.inputs) == "[Tensor('float32', (-1, 4))]"
    found = {output.name: (output.type, output.shape) for output in info.signature.outputs}
    assert found == {name: (np.dtype("float32"), shape) for name, shape in outputs.items()}
    assert info.saved_input_example_info is not None
    mlflow.pytorch.load_model(str(saved.path))(torch.rand(5, 4))


def test_a_model_that_does_not_run_on_a_cpu_leaves_weights_and_what_it_takes(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    images = torch.rand(3, 4)

    saved = save_model(OnlyOnGpus(4, 2), images, tmp_path)

    assert saved.format is None
    assert set(torch.load(saved.path / "state_dict.pt")) == {"weight", "bias"}
    signature = description(saved.path)
    assert str(signature.inputs) == "[Tensor('float32', (-1, 4))]"
    assert signature.outputs is None
    assert np.load(saved.path / "input_example.npy").tolist() == images.tolist()
    assert "the model does not run on the CPU: this kernel is for GPUs only" in caplog.text


def test_a_model_that_cannot_be_copied_is_logged_as_it_is(
    mlflow_server: MlflowServer, run_id: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", mlflow_server.uri)
    model, images = Locked(), torch.rand(3, 4)

    uri = log_model(mlflow_server.client, run_id, TrainedModel("model", model, 7), images)

    assert torch.allclose(mlflow.pytorch.load_model(uri)(images), model(images))


def test_without_images_the_weights_are_logged(mlflow_server: MlflowServer, run_id: str) -> None:
    model = TrainedModel("model", nn.Linear(4, 2), 7)

    uri = log_model(mlflow_server.client, run_id, model, None)

    assert uri == f"runs:/{run_id}/model/state_dict.pt"
    files = [file.path for file in mlflow_server.client.list_artifacts(run_id, "model")]
    assert files == ["model/state_dict.pt"]


def test_of_a_model_that_cannot_be_copied_the_final_and_the_best_are_logged(
    trainer: Trainer, mlflow_server: MlflowServer, run_id: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One after the other has the same memory; by its highest loss the first epoch is the best."""
    monkeypatch.setenv("MLFLOW_TRACKING_URI", mlflow_server.uri)
    code, output = trainer.run(
        *("locked_task:LockedTask", "--epochs", "2", "--best-mode", "max"),
        MLFLOW_TRACKING_URI=mlflow_server.uri,
        TRAININGJOB_MLFLOW_RUN_ID=run_id,
    )

    assert code == 0, output
    store = CheckpointStore(trainer.directory / "checkpoints", keep=3)
    for name, checkpoints in (("model", store), ("best_model", store.best)):
        weights = checkpoints.read_model(checkpoints.steps()[0])
        logged = mlflow.pytorch.load_model(f"runs:/{run_id}/{name}").state_dict()
        assert logged.keys() == weights.keys()
        assert all(torch.equal(logged[key], weights[key]) for key in weights)
    assert store.best.steps()[0] < store.steps()[0]


class Broken:
    """Data, and a checkpoint, that cannot be read."""

    def __iter__(self) -> Iterator[Any]:
        raise OSError(5, "Input/output error", "images")

    def find_best_model(self) -> None:
        raise OSError(5, "Input/output error", "best.pt")


def test_what_cannot_be_read_after_the_training_is_no_failure_of_it(
    caplog: pytest.LogCaptureFixture,
) -> None:
    loop: Any = SimpleNamespace(
        final_model=nn.Flatten,
        progress=SimpleNamespace(step=7),
        find_best_model=Broken().find_best_model,
    )
    training: Any = SimpleNamespace(loaders=SimpleNamespace(validation=Broken()))

    models = models_of(loop, "digits")

    assert [(one.name, one.step, one.registered_as) for one in models] == [("model", 7, "digits")]
    assert example_of(training) is None
    errors = [record for record in caplog.records if record.levelno == logging.ERROR]
    assert [record.exc_info is not None for record in errors] == [True, True]
