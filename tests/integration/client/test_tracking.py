"""What a run keeps, read from a real MLflow server."""

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from trainingjob.adapters.tracking import KeptRun
from trainingjob.core import wire
from trainingjob.errors import UserError

from tests.support.fake_api_server import FakeApiServer
from tests.support.processes import MlflowServer, free_port
from tests.unit.client.bodies import body


def test_the_output_of_a_job_whose_pods_are_gone(mlflow: MlflowServer, tmp_path: Path) -> None:
    run_id = mlflow.create_run()
    mlflow.client.log_text(run_id, "one\ntwo\n", wire.log_file(1, 0))
    mlflow.client.log_text(run_id, "three", wire.log_file(2, 0))
    mlflow.client.log_text(run_id, "four\n", wire.log_file(2, 1))
    status: dict[str, Any] = {"attempt": 2, "mlflow": {"runId": run_id, "trackingUri": mlflow.uri}}
    with FakeApiServer(body("Failed", {"numNodes": 2}, **status)).running() as server:
        done = tj(server, tmp_path, "logs", "mnist")
        assert (done.returncode, done.stdout.splitlines()) == (
            0,
            ["tj: attempt 1", "[0] one", "[0] two", "tj: attempt 2", "[0] three", "[1] four"],
        )
        # The pods may know the server by a name that this machine does not.
        server.job = body("Failed", {"numNodes": 2}, **{
            **status, "mlflow": {"runId": run_id, "trackingUri": "http://mlflow.mlflow:5000"},
        })  # fmt: skip
        done = tj(
            server, tmp_path, "logs", "mnist", "--attempt", "1", MLFLOW_TRACKING_URI=mlflow.uri
        )
        assert done.stdout.splitlines() == ["tj: attempt 1", "[0] one", "[0] two"]


def test_the_latest_metrics(mlflow: MlflowServer, tmp_path: Path) -> None:
    run_id = mlflow.create_run()
    mlflow.client.log_metric(run_id, "train/loss", 1, step=1)
    mlflow.client.log_metric(run_id, "train/loss", 0.25, step=2)
    mlflow.client.log_metric(run_id, "system/cpu_utilization_percentage", 80)
    status: dict[str, Any] = {"attempt": 1, "mlflow": {"runId": run_id, "trackingUri": mlflow.uri}}
    with FakeApiServer(body("Running", **status)).running() as server:
        assert tj(server, tmp_path, "top", "mnist").stdout.splitlines() == [
            "NODE   METRIC                       VALUE",
            "-      train/loss                   0.25",
            "0      cpu_utilization_percentage   80",
        ]
        server.job = body("Pending")
        assert tj(server, tmp_path, "top", "mnist").stderr.splitlines() == [
            "error: mnist has no run yet",
            "→ tj why mnist says why",
        ]


def test_the_users_own_calls_keep_their_settings(mlflow: MlflowServer) -> None:
    """A notebook's client waits for a busy server as long as before it asked us about a run."""
    run_id, before = mlflow.create_run(), dict(os.environ)
    assert KeptRun(run_id, mlflow.uri).metrics() == {}
    with pytest.raises(UserError):
        KeptRun("0" * 32, mlflow.uri).metrics()
    assert dict(os.environ) == before


def tj(
    server: FakeApiServer, directory: Path, *arguments: str, **environment: str
) -> "subprocess.CompletedProcess[str]":
    kubeconfig = directory / "kubeconfig"
    context = {"cluster": "c", "user": "u", "namespace": "ml"}
    config = {
        "clusters": [{"name": "c", "cluster": {"server": server.url}}],
        "contexts": [{"name": "c", "context": context}],
        "users": [{"name": "u", "user": {}}],
        "current-context": "c",
    }
    kubeconfig.write_text(yaml.safe_dump(config))
    outer = {name: value for name, value in os.environ.items() if not name.startswith("MLFLOW")}
    return subprocess.run(
        (sys.executable, "-m", "trainingjob", *arguments),
        env={**outer, "KUBECONFIG": str(kubeconfig), **environment},
        capture_output=True,
        text=True,
        check=False,
    )


def test_a_folder_that_is_not_there_has_no_files(mlflow: MlflowServer) -> None:
    assert KeptRun(mlflow.create_run(), mlflow.uri).names("logs/attempt-1") == []


def test_a_server_that_is_away(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    uri = f"http://127.0.0.1:{free_port()}"
    with pytest.raises(UserError) as away:
        KeptRun("f00d", uri).names("logs")
    assert away.value.message == (
        f"MLflow at {uri} does not answer as it should: [Errno 111] Connection refused"
    )
    assert away.value.remedy.startswith("set MLFLOW_TRACKING_URI to an address that this machine")
