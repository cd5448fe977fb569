"""A model that one rank has no memory for: FSDP2 trains it where DDP is killed."""

import pytest

from tests.support.api import Cluster, Manifest
from tests.support.node import IMAGE, Installed, log, pods, wait_for_end
from tests.support.training import CODE, create_code

pytestmark = pytest.mark.timeout(900)
MEMORY = "3Gi"


def training(parallel: str) -> Manifest:
    return {
        "apiVersion": "trainingjob.dev/v1alpha1",
        "kind": "TrainingJob",
        "metadata": {"name": parallel},
        "spec": {
            "image": IMAGE,
            "imagePullPolicy": "IfNotPresent",
            "args": [
                *("run", "large_task:LargeTask", "--parallel", parallel),
                *("--epochs", "1", "--batch-size", "2", "--report-seconds", "0"),
            ],
            "env": [{"name": "PYTHONPATH", "value": "/code"}],
            "numNodes": 2,
            "resourcesPerNode": {
                "requests": {"cpu": "200m", "memory": MEMORY},
                "limits": {"memory": MEMORY},
            },
            "volumes": [{"name": CODE, "configMap": {"name": CODE}}],
            "volumeMounts": [{"name": CODE, "mountPath": "/code"}],
        },
    }


@pytest.mark.alone
def test_fsdp2_trains_what_ddp_is_killed_for(installed: Installed, cluster: Cluster) -> None:
    create_code(cluster, "large_task.py")
    cluster.apply(training("ddp"))
    killed = wait_for_end(cluster, "ddp", 400)
    cluster.apply(training("fsdp2"))
    trained = wait_for_end(cluster, "fsdp2", 400)

    logs = {pod.metadata.name: log(cluster, pod.metadata.name) for pod in pods(cluster, "fsdp2")}
    assert (killed["state"], killed["failure"]["reason"]) == ("Failed", "OOMKilled"), killed
    assert trained["state"] == "Succeeded", logs
    run = installed.mlflow.get_run(trained["mlflow"]["runId"])
    assert run.info.status == "FINISHED"
    assert [
        point.step for point in installed.mlflow.get_metric_history(run.info.run_id, "train/loss")
    ] == [1, 2, 3]
    [file] = installed.mlflow.list_artifacts(run.info.run_id, "model")
    assert (file.path, (file.file_size or 0) > 600_000_000) == ("model/state_dict.pt", True)
