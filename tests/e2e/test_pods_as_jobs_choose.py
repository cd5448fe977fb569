"""Users, read-only roots, init containers and sidecars of a job's choice, on a real node.

The namespace enforces the restricted Pod Security Standard.
"""

from typing import Any

import pytest
from kubernetes import client

from tests.support import images
from tests.support.api import Cluster, Manifest
from tests.support.node import IMAGE, Installed, pods, script_job, wait_for_end
from tests.support.training import outcomes
from tests.support.waiting import wait_for

ROOT_IMAGE = "docker.io/trainingjob/trainer-of-root:dev"
USER = 12345
# As public images are: of root, with a home that is root's.
DOCKERFILE = f"FROM {IMAGE}\nENV HOME=/root\nUSER 0:0\n"
SHARED = {"name": "data", "mountPath": "/data"}

AS_A_USER = f"""
import getpass, os, pathlib, time
assert os.getuid() == {USER}, os.getuid()
print(getpass.getuser(), pathlib.Path.home())
(pathlib.Path.home() / "cache").write_text("x")
time.sleep(4)
"""
READ_ONLY = """
import os, pathlib, tempfile, time
try:
    pathlib.Path("/opt/x").write_text("x")
except OSError as error:
    assert "Read-only file system" in str(error), error
else:
    raise SystemExit("the root can be written to")
assert pathlib.Path.home().joinpath("cache").write_text("x")
with tempfile.TemporaryFile() as file:
    file.write(b"x")
time.sleep(4)
"""
FILLED = """
import pathlib, time
assert pathlib.Path("/data/set").read_text() == "seven\\n"
time.sleep(4)
"""


@pytest.fixture(scope="module")
def root_image(installed: Installed) -> str:
    images.make(ROOT_IMAGE, DOCKERFILE)
    return ROOT_IMAGE


def job(name: str, code: str, **spec: Any) -> Manifest:
    made = script_job(name, "exit_3.py")
    made["spec"] |= {
        "command": ["tini", "--", "trainingjob-exec", "--", "python", "-c", code],
        "monitoring": {"intervalSeconds": 1},
        **spec,
    }
    return made


def container(name: str, command: str) -> dict[str, Any]:
    return {
        "name": name,
        "image": IMAGE,
        "imagePullPolicy": "IfNotPresent",
        "command": ["tini", "--", "sh", "-c", command],
        "volumeMounts": [SHARED],
    }


def with_data(name: str, code: str, **spec: Any) -> Manifest:
    volume = {"name": "data", "emptyDir": {}}
    return job(name, code, volumes=[volume], volumeMounts=[SHARED], **spec)


def jobs() -> dict[str, Manifest]:
    fill = container("fill", "echo seven >/data/set")
    endless = container("endless", "trap '' TERM; while true; do sleep 1; done")
    made = [
        job("root-image", AS_A_USER, image=ROOT_IMAGE, securityContext={"runAsUser": USER}),
        job("read-only", READ_ONLY, readOnlyRootFilesystem=True),
        with_data("filled", FILLED, initContainers=[fill]),
        with_data(
            "beside", FILLED, initContainers=[fill], sidecars=[endless],
            securityContext={"fsGroup": None, "supplementalGroups": [4000]},
        ),
    ]  # fmt: skip
    return {one["metadata"]["name"]: one for one in made}


def test_their_runs_are_finished(installed: Installed, cluster: Cluster, root_image: str) -> None:
    asked = jobs()
    cluster.apply(*asked.values())
    ends = {name: wait_for_end(cluster, name, 240) for name in asked}

    assert {name: outcomes(end) for name, end in ends.items()} == {
        name: [("Succeeded", None, 0)] for name in asked
    }
    runs = {name: installed.mlflow.get_run(end["mlflow"]["runId"]) for name, end in ends.items()}
    assert {name: run.info.status for name, run in runs.items()} == dict.fromkeys(asked, "FINISHED")
    for name, run in runs.items():
        assert any(metric.startswith("system/") for metric in run.data.metrics), name

    # The kubelet ends the sidecar by itself: the Job counts the pod as one that succeeded.
    batch = client.BatchV1Api(cluster.core.api_client)

    def complete() -> bool:
        return bool(batch.read_namespaced_job("beside-1", cluster.namespace).status.completion_time)

    wait_for("the Job with the sidecar is complete", complete, 90)
    [pod] = pods(cluster, "beside")
    assert (pod.status.phase, pod.spec.active_deadline_seconds) == ("Succeeded", None)
    assert pod.spec.security_context.fs_group is None


def test_what_does_not_start_says_why(
    installed: Installed, cluster: Cluster, root_image: str
) -> None:
    cluster.apply(
        job("as-root", "pass", image=root_image, preRunningDeadlineSeconds=20),
        with_data(
            "not-filled", FILLED, initContainers=[container("fill", "echo no bucket; exit 3")]
        ),
    )
    ends = {name: wait_for_end(cluster, name, 180) for name in ("as-root", "not-filled")}

    refused, failed = ends["as-root"]["failure"], ends["not-filled"]["failure"]
    assert refused["reason"] == "CreateContainerConfigError"
    assert "image will run as root" in refused["message"]
    assert "set spec.securityContext.runAsUser to the number of a user" in refused["message"]
    assert (failed["reason"], failed["message"]) == (
        "InitContainerFailed",
        "init container fill: the container exited with code 3: no bucket",
    )
    assert outcomes(ends["not-filled"]) == [("Failed", "InitContainerFailed", 3)]
    for end in ends.values():
        assert installed.mlflow.get_run(end["mlflow"]["runId"]).info.status == "FAILED"
