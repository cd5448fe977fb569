"""A runtime that gives its jobs root, a capability and a directory of the node, on a real node."""

from typing import Any

import pytest

from tests.support import images
from tests.support.api import Cluster, Manifest
from tests.support.node import IMAGE, Installed, script_job, wait_for_end
from tests.support.runtimes import RuntimeObjects
from tests.support.training import outcomes

ROOT_IMAGE = "docker.io/trainingjob/trainer-of-root:dev"
DOCKERFILE = f"FROM {IMAGE}\nENV HOME=/root\nUSER 0:0\n"
# CAP_IPC_LOCK is bit 14 (capabilities(7)).
SCRIPT = """
import os, pathlib, time
assert os.getuid() == 0, os.getuid()
reported = dict(
    line.split(":", 1) for line in pathlib.Path("/proc/self/status").read_text().splitlines()
)
assert int(reported["CapEff"], 16) == 1 << 14, reported["CapEff"]
assert pathlib.Path("/node/hostname").read_text().strip()
pathlib.Path.home().joinpath("cache").write_text("x")
assert os.environ["OF_THE_RUNTIME"] == "yes"
time.sleep(4)
"""
POD: dict[str, Any] = {
    "volumes": [{"name": "node", "hostPath": {"path": "/etc"}}],
    "containers": [
        {
            "name": "trainer",
            "volumeMounts": [{"name": "node", "mountPath": "/node", "readOnly": True}],
            "securityContext": {
                "runAsUser": 0,
                "runAsNonRoot": False,
                "capabilities": {"add": ["IPC_LOCK"]},
            },
        }
    ],
}
DEFAULTS: dict[str, Any] = {
    "image": ROOT_IMAGE,
    "imagePullPolicy": "IfNotPresent",
    "monitoring": {"intervalSeconds": 1},
    "env": [{"name": "OF_THE_RUNTIME", "value": "yes"}],
}


@pytest.fixture(scope="module")
def root_image(installed: Installed) -> str:
    images.make(ROOT_IMAGE, DOCKERFILE)
    return ROOT_IMAGE


def job(name: str) -> Manifest:
    made = script_job(name, "exit_3.py")
    made["spec"] = {
        "runtimeRef": {"kind": "TrainingRuntime", "name": "root"},
        "command": ["tini", "--", "trainingjob-exec", "--", "python", "-c", SCRIPT],
        "resourcesPerNode": made["spec"]["resourcesPerNode"],
    }
    return made


def test_an_image_of_root_runs_as_root(
    installed: Installed, cluster: Cluster, root_image: str
) -> None:
    label = {"pod-security.kubernetes.io/enforce": "privileged"}
    cluster.core.patch_namespace(cluster.namespace, {"metadata": {"labels": label}})
    runtimes = RuntimeObjects(cluster.objects, cluster.namespace)
    runtimes.create("root", {"defaults": DEFAULTS, "template": {"spec": POD}})
    cluster.apply(job("root"))
    end = wait_for_end(cluster, "root", 240)
    assert outcomes(end) == [("Succeeded", None, 0)], end.get("failure")
    run = installed.mlflow.get_run(end["mlflow"]["runId"])
    assert run.info.status == "FINISHED"
    assert any(metric.startswith("system/") for metric in run.data.metrics)
