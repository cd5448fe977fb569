"""A training of the trainer image with a checkpoint volume, for tests that interrupt it."""

import os
import re
import subprocess
from typing import Any

from kubernetes.client.exceptions import ApiException
from mlflow.tracking import MlflowClient
from prometheus_client.parser import text_string_to_metric_families

from tests.support.api import Cluster, Manifest
from tests.support.node import IMAGE, SCRIPTS, exporter_text, log, pods
from tests.support.waiting import wait_for

CODE = "code"
CHECKPOINTS = "checkpoints"
# On the node, whose own directory this is: it goes with the node.
NODE_DIRECTORY = "/var/lib/trainingjob-e2e"
EPOCHS, STEPS = 3, 300


def kubectl(*arguments: str) -> str:
    """Run kubectl as a user would, and return what it printed."""
    command = ["kubectl", *arguments]
    return subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout


def open_node_directory(cluster: Cluster) -> None:
    """Make the directory of all checkpoint volumes on the node, which any user may write to.

    A hostPath volume belongs to root whatever the pod's fsGroup; a volume of a driver would not.
    """
    name = f"open-{os.getpid()}"
    volume = {"hostPath": {"path": NODE_DIRECTORY, "type": "DirectoryOrCreate"}}
    container = {
        "name": "chmod",
        "image": IMAGE,
        "imagePullPolicy": "IfNotPresent",
        "command": ["chmod", "0777", "/directory"],
        "securityContext": {"runAsUser": 0},
        "volumeMounts": [{"name": "directory", "mountPath": "/directory"}],
    }
    spec = {
        "restartPolicy": "Never",
        "volumes": [{"name": "directory", **volume}],
        "containers": [container],
    }
    cluster.core.create_namespaced_pod("default", {"metadata": {"name": name}, "spec": spec})

    def done() -> bool:
        pod = cluster.core.read_namespaced_pod(name, "default")
        return bool(pod.status.phase == "Succeeded")

    wait_for(f"{NODE_DIRECTORY} is open", done, 120)
    cluster.core.delete_namespaced_pod(name, "default")


def create_checkpoint_claim(cluster: Cluster) -> None:
    """Make the claim `checkpoints` and, as an administrator of the node would, its volume."""
    shared = {"accessModes": ["ReadWriteMany"], "storageClassName": ""}
    volume = {
        "metadata": {"name": cluster.namespace},
        "spec": {
            **shared,
            "capacity": {"storage": "1Gi"},
            "hostPath": {"path": NODE_DIRECTORY, "type": "Directory"},
            "claimRef": {"namespace": cluster.namespace, "name": CHECKPOINTS},
        },
    }
    claim = {
        "metadata": {"name": CHECKPOINTS},
        "spec": {
            **shared,
            "resources": {"requests": {"storage": "1Gi"}},
            "volumeName": cluster.namespace,
        },
    }
    cluster.core.create_persistent_volume(volume)
    cluster.core.create_namespaced_persistent_volume_claim(cluster.namespace, claim)


def create_code(cluster: Cluster, task: str = "steady_task.py") -> None:
    """Make the ConfigMap `code` with the user's task."""
    file = SCRIPTS / task
    body = {"metadata": {"name": CODE}, "data": {file.name: file.read_text()}}
    cluster.core.create_namespaced_config_map(cluster.namespace, body)


def steady_job(cluster: Cluster, name: str, *, nodes: int = 1, **more: Any) -> Manifest:
    """A TrainingJob of 300 steps that logs each one, with checkpoints only when it is stopped."""
    path = f"/checkpoints/{cluster.namespace}/{name}"
    return {
        "apiVersion": "trainingjob.dev/v1alpha1",
        "kind": "TrainingJob",
        "metadata": {"name": name},
        "spec": {
            "image": IMAGE,
            "imagePullPolicy": "IfNotPresent",
            "args": [
                *("run", "steady_task:SteadyTask", "--batch-size", "4"),
                *("--epochs", str(EPOCHS), "--report-seconds", "0"),
            ],
            "env": [{"name": "PYTHONPATH", "value": "/code"}],
            "numNodes": nodes,
            "resourcesPerNode": {
                "requests": {"cpu": "100m", "memory": "300Mi"},
                "limits": {"memory": "2Gi"},
            },
            "volumes": [
                {"name": "code", "configMap": {"name": CODE}},
                {"name": "checkpoints", "persistentVolumeClaim": {"claimName": CHECKPOINTS}},
            ],
            "volumeMounts": [
                {"name": "code", "mountPath": "/code"},
                {"name": "checkpoints", "mountPath": "/checkpoints"},
            ],
            "checkpoint": {"volume": "checkpoints", "path": path},
            "monitoring": {"intervalSeconds": 2},
            **more,
        },
    }


def wait_for_steps(cluster: Cluster, name: str, steps: int = 5, seconds: float = 300) -> str:
    """Wait until a training has done so many steps; return the name of its first pod."""

    def done() -> str | None:
        running = [pod for pod in pods(cluster, name) if pod.status.phase == "Running"]
        for pod in running:
            if steps_of(cluster, pod.metadata.name) >= steps:
                return str(pod.metadata.name)
        return None

    return wait_for(f"{name} did {steps} steps", done, seconds)


def steps_of(cluster: Cluster, pod: str) -> float:
    """Steps that the pod's exporter counts; 0 as long as there is no exporter."""
    try:
        text = exporter_text(cluster, pod)
    except ApiException as error:
        if error.status in (404, 503):  # it starts some seconds after its pod, and ends before it
            return 0
        raise
    families = {family.name: family for family in text_string_to_metric_families(text)}
    steps = families.get("trainingjob_steps")
    totals = [one for one in steps.samples if one.name.endswith("_total")] if steps else []
    return sum(one.value for one in totals)


def assert_every_step_once(mlflow: MlflowClient, run_id: str) -> None:
    """Over all attempts each step of `steady_job` was done once, and one after the other."""
    history = mlflow.get_metric_history(run_id, "train/loss")
    points = sorted((point.timestamp, point.step) for point in history)
    assert [step for _, step in points] == list(range(1, STEPS + 1))


def outcomes(status: dict[str, Any]) -> list[tuple[str, str | None, int | None]]:
    """Outcome, reason and exit code of each attempt."""
    return [(one["outcome"], one.get("reason"), one.get("exitCode")) for one in status["attempts"]]


def assert_went_on(mlflow: MlflowClient, cluster: Cluster, name: str, run_id: str) -> None:
    """The second attempt of `steady_job` began after the first one's last step, on all ranks."""
    second = [pod for pod in pods(cluster, name) if pod.metadata.name.startswith(f"{name}-2-")]
    logs = "".join(log(cluster, pod.metadata.name) for pod in second)
    [step] = set(re.findall(r"goes on after step (\d+)", logs))
    assert 5 <= int(step) < STEPS
    assert_every_step_once(mlflow, run_id)
