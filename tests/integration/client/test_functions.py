"""A function from its submission to its result. The fake node runs nothing: the test does."""

import base64
import os
import subprocess
import sys
from pathlib import Path

import pytest
from trainingjob import Client, JobFailed

from tests.integration.client.conftest import Tj
from tests.support.api import Cluster, Runs
from tests.support.processes import MlflowServer, OperatorProcess
from tests.support.waiting import wait_for

SCRIPT = """
from trainingjob import job

@job(image="fake:1", env={"GREETING": "hello"})
def train(epochs, *, rate):
    import os
    print(os.environ.get("GREETING"), epochs)
    return {"loss": rate / epochs}
"""
SUBMITTING = """
import sys, train
run = train.train.submit(4, rate=0.5)
print(run.name)
"""


@pytest.fixture
def client(tj: Tj, monkeypatch: pytest.MonkeyPatch) -> Client:
    monkeypatch.setenv("KUBECONFIG", str(tj.kubeconfig))
    return Client(tj.namespace)


def test_a_function_runs_with_its_arguments_and_its_result_comes_back(
    tj: Tj,
    client: Client,
    cluster: Cluster,
    runs: Runs,
    mlflow: MlflowServer,
    operator: OperatorProcess,
    tmp_path: Path,
) -> None:
    place = f'namespace="{tj.namespace}", env={{'
    (tj.directory / "train.py").write_text(SCRIPT.replace("env={", place))
    submitted = subprocess.run(
        (sys.executable, "-c", SUBMITTING),
        env=tj.environment,
        cwd=tj.directory,
        capture_output=True,
        text=True,
    )
    assert submitted.returncode == 0, submitted.stderr
    name = submitted.stdout.strip()
    assert name.startswith("train-")
    run = client.get(name)
    wait_for("it has a run", lambda: run.mlflow_run_id, 60)
    assert run.mlflow_run_id is not None

    done = subprocess.run(
        unpacked(cluster, name, tmp_path),
        env={
            **os.environ,
            "GREETING": "hello",
            "MLFLOW_TRACKING_URI": mlflow.uri,
            "TRAININGJOB_MLFLOW_RUN_ID": run.mlflow_run_id,
            "TRAININGJOB_MONITOR_ENABLED": "false",
        },
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stdout) == (0, "hello 4\n"), done.stderr
    assert run.result() == {"loss": 0.125}
    [found] = runs.by_job()[name]
    assert found.data.tags["code.command"] == "train"


def unpacked(cluster: Cluster, name: str, root: Path) -> list[str]:
    """The command of the job, as a node would run it that has its volumes below `root`."""
    job = cluster.get(name)
    assert job is not None
    spec = job["spec"]
    for mount in spec["volumeMounts"]:
        (root / mount["mountPath"].lstrip("/")).mkdir(parents=True, exist_ok=True)
    [found] = cluster.core.list_namespaced_config_map(
        cluster.namespace, label_selector=f"trainingjob.dev/name={name}"
    ).items
    content = found.binary_data["code.tar.gz"]
    (root / "trainingjob" / "code" / "code.tar.gz").write_bytes(base64.b64decode(content))
    words = [word.replace("$$", "$") for word in (*spec["command"], *spec["args"])]
    return [word.replace('"/trainingjob/', f'"{root}/trainingjob/') for word in words]


def test_what_a_job_fails_of_is_raised(
    client: Client, cluster: Cluster, operator: OperatorProcess
) -> None:
    run = client.submit_yaml(
        """
        apiVersion: trainingjob.dev/v1alpha1
        kind: TrainingJob
        metadata: {name: failing}
        spec:
          image: fake:1
          podAnnotations:
            kwok.trainingjob.dev/exit-code: "3"
            kwok.trainingjob.dev/termination-message: >-
              {"reason": "UserException", "message": "boom", "frame": "train.py:7 in f", "rank": 0}
        """
    )
    with pytest.raises(JobFailed) as failed:
        run.wait()
    assert str(failed.value) == "failing failed: UserException: boom (train.py:7 in f)"
    error = failed.value
    assert (error.reason, error.rank, error.frame, error.exit_code) == (
        "UserException",
        0,
        "train.py:7 in f",
        3,
    )
    assert run.state == "Failed"
    assert [one.name for one in client.list(state="Failed")] == ["failing"]
    assert client.list(state="Running") == []
    run.delete()
    wait_for("it is gone", lambda: cluster.get("failing") is None, 60)
