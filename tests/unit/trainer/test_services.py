"""Models are logged while the other ranks wait, so that has an end whatever the server does."""

import threading
from collections.abc import Callable
from types import SimpleNamespace

import pytest
import torch
from torch import nn
from trainingjob_trainer import services
from trainingjob_trainer.contract import Contract
from trainingjob_trainer.model_logging import TrainedModel
from trainingjob_trainer.services import Services

from tests.support.faults import Answer, FaultyServer, Request
from tests.support.processes import MlflowServer

MODEL = TrainedModel("model", nn.Flatten(), 7)


@pytest.mark.parametrize("asked", [False, True], ids=["too-slow", "asked-to-stop"])
def test_an_upload_that_hangs_is_given_up_and_leaves_no_half_of_a_model(
    mlflow_server: MlflowServer,
    run_id: str,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    asked: bool,
) -> None:
    uploads, over = threading.Event(), threading.Event()

    def hang_at_uploads(request: Request, forward: Callable[[], Answer]) -> Answer:
        if request.method == "PUT":
            uploads.set()
            over.wait()
        return forward()

    def clock() -> float:
        """Minutes pass as soon as the upload hangs."""
        return 1000.0 if uploads.is_set() and not asked else 0.0

    monkeypatch.setattr(services, "time", SimpleNamespace(monotonic=clock))
    with FaultyServer(hang_at_uploads, mlflow_server.uri) as proxy:
        ours = Services(Contract(tracking_uri=proxy.uri, run_id=run_id))
        ours.log_models([MODEL], torch.rand(2, 1, 4, 4), lambda: asked and uploads.is_set())
        over.set()

    why = "asked to stop" if asked else "not done in 240 s"
    assert f"not all models are in MLflow: {why}" in caplog.text
    found = mlflow_server.client.search_logged_models(["0"], f"source_run_id = '{run_id}'")
    assert found == []
