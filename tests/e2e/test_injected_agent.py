"""`agent: Inject` in images that know nothing of us."""

from pathlib import Path
from typing import Any

import pytest

from tests.support import images
from tests.support.api import Cluster, Manifest
from tests.support.node import Installed, wait_for_end
from tests.support.training import outcomes

IMAGES = Path(__file__).parent / "images"
SHELL = "echo epoch 1; echo 'the data set is empty' >&2; exit 3"


@pytest.fixture(scope="module")
def pytorch(installed: Installed) -> str:
    images.make_from(IMAGES / "pytorch", "localhost/pytorch:dev")
    return "localhost/pytorch:dev"


@pytest.fixture(scope="module")
def shell(installed: Installed) -> str:
    images.make_from(IMAGES / "shell", "localhost/shell:dev")
    return "localhost/shell:dev"


@pytest.fixture(scope="module")
def musl(installed: Installed) -> str:
    images.make_from(IMAGES / "musl", "localhost/musl:dev")
    return "localhost/musl:dev"


def job(name: str, image: str, command: list[str], **spec: Any) -> Manifest:
    return {
        "apiVersion": "trainingjob.dev/v1alpha1",
        "kind": "TrainingJob",
        "metadata": {"name": name},
        "spec": {
            "image": image,
            "imagePullPolicy": "Never",
            "agent": "Inject",
            "command": command,
            "monitoring": {"intervalSeconds": 1},
            "resourcesPerNode": {
                "requests": {"cpu": "100m", "memory": "300Mi"},
                "limits": {"memory": "2Gi"},
            },
            **spec,
        },
    }


def kept_log(installed: Installed, run_id: str) -> str:
    path = installed.mlflow.download_artifacts(run_id, "logs/attempt-1/node-0.txt")
    return Path(path).read_text()


def test_a_plain_script_in_an_image_that_runs_as_root(
    installed: Installed, cluster: Cluster, pytorch: str
) -> None:
    cluster.apply(job("line", pytorch, ["python", "train.py"], securityContext={"runAsUser": 1000}))
    status = wait_for_end(cluster, "line", 240)

    assert outcomes(status) == [("Succeeded", None, 0)]
    run = installed.mlflow.get_run(status["mlflow"]["runId"])
    assert run.info.status == "FINISHED"
    assert run.data.params["lr"] == "0.1"
    assert len(installed.mlflow.get_metric_history(run.info.run_id, "loss")) == 30
    assert run.data.metrics["system/system_memory_usage_megabytes"] > 0
    assert "loss " in kept_log(installed, run.info.run_id)


def test_a_shell_in_an_image_without_python_and_c_library(
    installed: Installed, cluster: Cluster, shell: str
) -> None:
    user = {"runAsUser": 4242}
    cluster.apply(job("shell", shell, ["/bin/sh", "-c", SHELL], securityContext=user))
    status = wait_for_end(cluster, "shell", 240)

    assert outcomes(status) == [("Failed", "NonZeroExitCode", 3)]
    assert "the data set is empty" in status["failure"]["message"]
    run = installed.mlflow.get_run(status["mlflow"]["runId"])
    assert run.info.status == "FAILED"
    assert run.data.metrics["system/system_memory_usage_megabytes"] > 0
    assert kept_log(installed, run.info.run_id) == "epoch 1\nthe data set is empty\n"


def test_a_program_of_another_c_library(installed: Installed, cluster: Cluster, musl: str) -> None:
    cluster.apply(job("musl", musl, ["/train"], securityContext={"runAsUser": 4242}))
    status = wait_for_end(cluster, "musl", 240)

    assert outcomes(status) == [("Failed", "NonZeroExitCode", 3)]
    assert "the data set is empty" in status["failure"]["message"]
    run = installed.mlflow.get_run(status["mlflow"]["runId"])
    assert run.info.status == "FAILED"
    assert run.data.metrics["system/system_memory_usage_megabytes"] > 0
    assert kept_log(installed, run.info.run_id) == "epoch 1 of musl\nthe data set is empty\n"


def test_a_root_that_cannot_be_written(
    installed: Installed, cluster: Cluster, pytorch: str
) -> None:
    command = ["python", "-c", "import sys; open('/model', 'w')"]
    cluster.apply(
        job(
            "read-only",
            pytorch,
            command,
            securityContext={"runAsUser": 1000},
            readOnlyRootFilesystem=True,
        )
    )
    status = wait_for_end(cluster, "read-only", 240)

    assert outcomes(status) == [("Failed", "UserException", 1)]
    assert "Read-only file system" in status["failure"]["message"]
    run = installed.mlflow.get_run(status["mlflow"]["runId"])
    assert run.info.status == "FAILED"
    assert "Read-only file system" in kept_log(installed, run.info.run_id)
