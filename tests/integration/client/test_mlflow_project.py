"""`mlflow run --backend trainingjob`, by the real operator; the fake node runs nothing."""

import json
import subprocess
import sys

from tests.integration.client.conftest import Tj
from tests.support.api import Cluster, Runs
from tests.support.processes import MlflowServer, OperatorProcess
from tests.support.waiting import wait_for

PROJECT = """
name: fit
entry_points:
  main:
    parameters:
      lr: {type: float, default: 0.1}
      epochs: {type: float, default: 3}
    command: "python train.py --lr {lr} --epochs {epochs}"
"""


def mlflow_run(
    tj: Tj, mlflow: MlflowServer, config: dict[str, object]
) -> "subprocess.CompletedProcess[str]":
    """Start the project of the working directory with another learning rate."""
    (tj.directory / "MLproject").write_text(PROJECT)
    return subprocess.run(
        [
            *(sys.executable, "-m", "mlflow", "run", ".", "--backend", "trainingjob"),
            *("--backend-config", json.dumps(config), "--experiment-name", tj.namespace),
            *("-P", "lr=0.5"),
        ],
        env={**tj.environment, "MLFLOW_TRACKING_URI": mlflow.uri},
        cwd=tj.directory,
        capture_output=True,
        text=True,
        check=False,
    )


def status_of(runs: Runs, run_id: str) -> str:
    return str(runs.client.get_run(run_id).info.status)


def test_a_project(
    tj: Tj, cluster: Cluster, runs: Runs, mlflow: MlflowServer, operator: OperatorProcess
) -> None:
    config = {"image": "fake:1", "namespace": tj.namespace, "name": "fit", "nodes": 2}
    done = mlflow_run(tj, mlflow, config)
    assert done.returncode == 0, done.stderr
    job = cluster.get("fit")
    assert job is not None
    assert job["spec"]["args"] == ["sh", "-c", "python train.py --lr 0.5 --epochs 3"]
    assert job["spec"]["numNodes"] == 2
    # The command line of MLflow waits for local projects only.
    [submitted] = runs.all()
    wait_for("its end", lambda: status_of(runs, submitted.info.run_id) == "FINISHED", 60)
    [run] = runs.all()
    assert run.data.params == {"lr": "0.5"}
    tags = {key: run.data.tags[key] for key in ("mlflow.project.backend", "code.command")}
    assert tags == {"mlflow.project.backend": "trainingjob", "code.command": "main"}
    assert run.data.tags["mlflow.project.entryPoint"] == "main"
    assert run.data.tags["trainingjob.name"] == "fit"


def test_a_configuration_that_is_refused(tj: Tj, mlflow: MlflowServer, cluster: Cluster) -> None:
    done = mlflow_run(tj, mlflow, {"image": "fake:1", "namespace": tj.namespace, "gpu": 1})
    assert done.returncode != 0
    assert (
        "the backend's configuration has gpu: it takes image, name, runtime, nodes" in done.stderr
    )
    assert "Traceback" not in done.stderr
    assert cluster.states() == {}
