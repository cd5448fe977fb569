"""Clusters with policies of their own: jobs with the documented settings run there."""

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.support import images
from tests.support.api import Cluster, Manifest
from tests.support.node import IMAGE, REPOSITORY, Installed, script_job, wait_for_end
from tests.support.runtimes import RuntimeObjects
from tests.support.training import outcomes
from tests.support.waiting import wait_for

POLICIES = Path(__file__).parent / "policies"
# Of root, with nothing of ours.
PYTORCH = "localhost/pytorch:dev"
IDS = """
import os, pathlib, time
print(os.getuid(), os.getgroups())
assert 1000650000 <= os.getuid() < 1000660000, os.getuid()
assert pathlib.Path("/data/weights").read_text() == "seven"
pathlib.Path("/data/written").write_text("x")
(pathlib.Path.home() / "cache").write_text("x")
time.sleep(3)
"""
READ_ONLY = """
import pathlib, time
assert pathlib.Path("/data/weights").read_text() == "seven"
pathlib.Path("/tmp/written").write_text("x")
try:
    pathlib.Path("/workspace/written").write_text("x")
except OSError:
    time.sleep(3)
else:
    raise SystemExit("the root can be written to")
"""
ROOT = """
import os, pathlib, time
assert os.getuid() == 0, os.getuid()
pathlib.Path("/root/cache").write_text("x")
time.sleep(3)
"""


@pytest.fixture(scope="module")
def pytorch(installed: Installed) -> str:
    images.make_from(Path(__file__).parent / "images" / "pytorch", PYTORCH)
    return PYTORCH


@pytest.fixture
def weights(installed: Installed, cluster: Cluster) -> dict[str, Any]:
    """An initializer that fetches a file from MLflow."""
    experiment = installed.mlflow.create_experiment(f"{cluster.namespace}-weights")
    run_id = installed.mlflow.create_run(experiment).info.run_id
    installed.mlflow.log_text(run_id, "seven", "weights")
    return {"name": "weights", "source": f"runs:/{run_id}/weights", "path": "/data"}


@contextmanager
def policy(cluster: Cluster, name: str) -> Iterator[None]:
    """Let a policy hold in the namespace of the test."""
    text = (POLICIES / name).read_text().replace("NAMESPACE", cluster.namespace)

    def kubectl(*arguments: str, stdin: str = text) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            ["kubectl", *arguments, "--filename=-"],
            input=stdin, capture_output=True, text=True, check=False, env=os.environ,
        )  # fmt: skip

    assert kubectl("apply").returncode == 0, kubectl("apply").stderr
    # Within the restricted standard, and refused by both policies; the API server takes a moment
    # to enforce a new one.
    container = {
        "name": "probe",
        "image": "probe",
        "securityContext": {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}},
    }
    security = {
        "runAsUser": 1,
        "runAsNonRoot": True,
        "seccompProfile": {"type": "RuntimeDefault"},
    }
    pod = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "probe", "namespace": cluster.namespace},
        "spec": {"containers": [container], "securityContext": security},
    }

    def holds() -> bool:
        answer = kubectl("create", "--dry-run=server", stdin=yaml.safe_dump(pod))
        return f"ValidatingAdmissionPolicy '{cluster.namespace}-" in answer.stderr

    wait_for(f"the policy {name} holds", holds, 60)
    try:
        yield
    finally:
        kubectl("delete", "--ignore-not-found")


def injected(name: str, code: str, **spec: Any) -> Manifest:
    """A job with an image of root that knows nothing of us."""
    made = script_job(name, "exit_3.py")
    made["spec"] |= {
        "image": PYTORCH,
        "imagePullPolicy": "Never",
        "agent": "Inject",
        "command": ["python", "-c", code],
        "monitoring": {"intervalSeconds": 1},
        **spec,
    }
    return made


def assert_finished(installed: Installed, cluster: Cluster, *names: str) -> None:
    ends = {name: wait_for_end(cluster, name, 240) for name in names}
    assert {name: outcomes(end) for name, end in ends.items()} == {
        name: [("Succeeded", None, 0)] for name in names
    }, [end.get("failure") for end in ends.values()]
    for name, end in ends.items():
        run = installed.mlflow.get_run(end["mlflow"]["runId"])
        assert run.info.status == "FINISHED", name
        assert any(metric.startswith("system/") for metric in run.data.metrics), name


def assert_refused(cluster: Cluster, name: str, message: str) -> None:
    def failure() -> str:
        found = cluster.status(name).get("failure", {})
        return str(found.get("message", "")) if found.get("reason") == "FailedCreate" else ""

    wait_for(f"{name} says who refused its pods", failure, 60)
    assert message in failure()


def test_openshifts_ids(
    installed: Installed, cluster: Cluster, pytorch: str, weights: dict[str, Any]
) -> None:
    text = (REPOSITORY / "manifests" / "runtimes" / "openshift.yaml").read_text()
    runtime = yaml.safe_load(text)
    runtimes = RuntimeObjects(cluster.objects, cluster.namespace)
    runtimes.create(runtime["metadata"]["name"], runtime["spec"])
    ours = injected("ours", IDS, initializers=[weights])
    ours["spec"] |= {
        "image": IMAGE,
        "agent": "Image",
        "command": ["tini", "--", "trainingjob-exec", "--", "python", "-c", IDS],
    }
    own = {"runAsUser": 1000650007, "fsGroup": 1000650008}
    with policy(cluster, "openshift.yaml"):
        cluster.apply(
            ours,
            injected("theirs", IDS, initializers=[weights]),
            injected("in-the-range", IDS, initializers=[weights], securityContext=own),
            injected("our-default", "pass", securityContext={"fsGroup": 65532}),
        )
        assert_finished(installed, cluster, "ours", "theirs", "in-the-range")
        assert_refused(cluster, "our-default", "fsGroup: is not an allowed group")


def test_a_hardened_cluster(
    installed: Installed, cluster: Cluster, pytorch: str, weights: dict[str, Any]
) -> None:
    user = {"runAsUser": 1000, "fsGroup": 1000}
    hardened = {"securityContext": user, "readOnlyRootFilesystem": True, "initializers": [weights]}
    ours = injected("ours", READ_ONLY, **hardened)
    ours["spec"] |= {
        "image": IMAGE,
        "agent": "Image",
        "command": ["tini", "--", "trainingjob-exec", "--", "python", "-c", READ_ONLY],
    }
    with policy(cluster, "hardened.yaml"):
        cluster.apply(
            ours,
            injected("theirs", READ_ONLY, **hardened),
            injected("writable", "pass", securityContext=user),
        )
        assert_finished(installed, cluster, "ours", "theirs")
        assert_refused(cluster, "writable", "all containers must have a read-only root file system")


def test_the_agent_by_a_runtime_also_where_it_runs_as_root(
    installed: Installed, cluster: Cluster, pytorch: str
) -> None:
    label = {"pod-security.kubernetes.io/enforce": "privileged"}
    cluster.core.patch_namespace(cluster.namespace, {"metadata": {"labels": label}})
    defaults = {
        "image": pytorch,
        "imagePullPolicy": "Never",
        "agent": "Inject",
        "monitoring": {"intervalSeconds": 1},
    }
    trainer = {
        "name": "trainer",
        "securityContext": {"runAsUser": 0, "runAsNonRoot": False},
    }
    runtimes = RuntimeObjects(cluster.objects, cluster.namespace)
    runtimes.create("root", {"defaults": defaults, "template": {"spec": {"containers": [trainer]}}})
    user = {"securityContext": {"runAsUser": 1000}}
    runtimes.create("user", {"defaults": {**defaults, **user}})

    def job(name: str, command: list[str]) -> Manifest:
        made = script_job(name, "exit_3.py")
        made["spec"] = {
            "runtimeRef": {"kind": "TrainingRuntime", "name": name},
            "command": command,
            "resourcesPerNode": made["spec"]["resourcesPerNode"],
        }
        return made

    cluster.apply(job("root", ["python", "-c", ROOT]), job("user", ["python", "train.py"]))
    assert_finished(installed, cluster, "root", "user")
    run_id = cluster.status("user")["mlflow"]["runId"]
    assert len(installed.mlflow.get_metric_history(run_id, "loss")) == 30
    assert cluster.status("user")["runtime"]["sources"]["agent"] == "Runtime"
