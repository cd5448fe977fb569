"""The MNIST example by helm install and kubectl apply, from the first pod to the model."""

import numpy as np
import pytest
from mlflow.tracking import MlflowClient

from tests.support.api import Cluster
from tests.support.node import (
    Installed,
    assert_sampled_throughout,
    example,
    log,
    pods,
    sampled_status,
    wait_for_end,
)
from tests.support.training import wait_for_steps

EPOCHS = 5
CPU = "cpu_utilization_percentage"


def artifacts(client: MlflowClient, run_id: str, path: str) -> list[str]:
    return [file.path for file in client.list_artifacts(run_id, path)]


@pytest.mark.timeout(600)
def test_mnist_from_apply_to_model(
    installed: Installed, cluster: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    client = installed.mlflow
    cluster.apply(example("mnist.yaml"))
    with sampled_status(client, cluster, "mnist") as statuses:
        wait_for_steps(cluster, "mnist", 1)
        status = wait_for_end(cluster, "mnist", 300)
    run_id = status["mlflow"]["runId"]
    [pod] = pods(cluster, "mnist")
    text = log(cluster, pod.metadata.name)
    run = client.get_run(run_id)

    assert status["state"] == "Succeeded", text
    assert statuses.seen[-2:] == ["RUNNING", "FINISHED"]
    assert run.info.start_time < run.info.end_time
    assert run.data.metrics["val/accuracy"] >= 0.95
    assert status["progress"]["percentage"] == 100

    interval = example("mnist.yaml")["spec"]["monitoring"]["intervalSeconds"]
    assert_sampled_throughout(client, run_id, f"system/{CPU}", interval)
    assert not [name for name in run.data.metrics if "gpu" in name]

    pngs = [path for path in artifacts(client, run_id, "samples") if path.endswith(".png")]
    assert sorted(pngs) == [f"samples/epoch_{epoch:03}.png" for epoch in range(1, EPOCHS + 1)]
    assert "signature" not in text.lower(), text
    assert "Traceback" not in text
    predicts(installed, run_id, monkeypatch)


def predicts(installed: Installed, run_id: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The logged model loads back and gives ten finite scores for each image."""
    # Not at the top: each process that runs tests would take seconds to import it.
    import mlflow.pytorch
    import torch

    monkeypatch.setenv("MLFLOW_TRACKING_URI", installed.tracking_uri)
    mlflow.set_tracking_uri(installed.tracking_uri)
    outputs = installed.mlflow.get_run(run_id).outputs
    assert outputs is not None
    [model] = outputs.model_outputs
    logged = installed.mlflow.get_logged_model(model.model_id)
    info = mlflow.models.get_model_info(logged.model_uri)
    assert info.signature is not None
    assert info.saved_input_example_info is not None
    loaded = mlflow.pytorch.load_model(logged.model_uri)
    module = loaded.module() if hasattr(loaded, "module") and callable(loaded.module) else loaded
    scores = module(torch.zeros(3, 1, 28, 28)).detach().numpy()
    assert scores.shape == (3, 10)
    assert np.isfinite(scores).all()
