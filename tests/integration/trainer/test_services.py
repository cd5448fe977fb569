"""Models are logged while the other ranks wait, so that has an end whatever the server does."""

import threading
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from torch import nn
from trainingjob_agent.contract import Contract
from trainingjob_trainer import services
from trainingjob_trainer.model_logging import ModelNotLoggedError, TrainedModel
from trainingjob_trainer.services import Services

from tests.support.faults import Answer, FaultyServer, Request
from tests.support.processes import MlflowServer

MODEL = TrainedModel("model", nn.Flatten(), 7)


def log(
    services: Services,
    checkpoints: Path | None = None,
    stopped: Callable[[], bool] = lambda: False,
) -> None:
    services.log_models(
        [MODEL], torch.rand(2, 1, 4, 4), stopped, checkpoints=checkpoints, within_seconds=840
    )


@pytest.mark.parametrize("asked", [False, True], ids=["too-slow", "asked-to-stop"])
def test_an_upload_that_hangs_is_given_up_and_leaves_no_half_of_a_model(
    mlflow_server: MlflowServer,
    run_id: str,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    asked: bool,
) -> None:
    uploads, over = threading.Event(), threading.Event()
    problems: list[tuple[str, bool]] = []

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
        ours = Services(Contract(tracking_uri=proxy.uri, run_id=run_id, num_nodes=2))
        try:
            log(ours, Path("/data"), lambda: asked and uploads.is_set())
        except ModelNotLoggedError as error:
            problems.append((str(error), error.again))
        over.set()

    kept = "the weights are in the newest checkpoint below /data"
    late = (f"model is not in MLflow after 840 s; {kept}", True)
    assert problems == ([] if asked else [late])
    assert (f"not all models are in MLflow: asked to stop; {kept}" in caplog.text) is asked
    found = mlflow_server.client.search_logged_models(["0"], f"source_run_id = '{run_id}'")
    assert found == []


def test_a_model_is_logged_with_its_metrics_when_mlflow_is_back(
    mlflow_server: MlflowServer, run_id: str, caplog: pytest.LogCaptureFixture
) -> None:
    """It is away as the training ends, and again when all but the link of the model is done."""
    away = {"": 6, "/runs/outputs": 4}

    def outages(request: Request, forward: Callable[[], Answer]) -> Answer:
        for path, left in away.items():
            if left and request.path.endswith(path):
                away[path] -= 1
                return Answer(503)
        return forward()

    with FaultyServer(outages, mlflow_server.uri) as proxy:
        ours = Services(Contract(tracking_uri=proxy.uri, run_id=run_id, monitor_enabled=False))
        ours.start()
        ours.log_training_metrics({"val/loss": 0.25}, MODEL.step)
        log(ours)
        ours.close(300)

    assert list(away.values()) == [0, 0]
    [logged] = mlflow_server.client.search_logged_models(["0"], f"source_run_id = '{run_id}'")
    assert logged.status == "READY"
    assert [(m.key, m.value, m.step) for m in logged.metrics or []] == [("val/loss", 0.25, 7)]
    run = mlflow_server.client.get_run(run_id)
    assert run.outputs is not None
    assert [output.model_id for output in run.outputs.model_outputs] == [logged.model_id]
    assert "not in MLflow" not in caplog.text


def test_a_model_that_is_refused_is_not_tried_again_and_that_is_said(
    mlflow_server: MlflowServer, run_id: str
) -> None:
    def no_large_files(request: Request, forward: Callable[[], Answer]) -> Answer:
        return Answer(413) if request.path.endswith(".pt2") else forward()

    with FaultyServer(no_large_files, mlflow_server.uri) as proxy:
        ours = Services(Contract(tracking_uri=proxy.uri, run_id=run_id))
        with pytest.raises(ModelNotLoggedError) as raised:
            log(ours)

    assert len([r for _, r in proxy.requests if r.path.endswith(".pt2")]) == 1
    assert str(raised.value).startswith("model is not in MLflow: ")
    assert str(raised.value).endswith("; no checkpoint has the weights")
    assert not raised.value.again
