"""A node whose kubelet is away: a pod that is to leave it does so when the kubelet is back."""

import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime

import pytest
from kubernetes import client

from tests.support.api import Cluster
from tests.support.node import Installed, pods, sampled_status, wait_for_end
from tests.support.training import (
    assert_every_step_once,
    assert_went_on,
    kubectl,
    outcomes,
    steady_job,
    wait_for_steps,
)
from tests.support.waiting import beside, wait_for

# Pods tolerate a node that does not answer for five minutes, unless they say otherwise.
AT_ONCE = [
    {"key": f"node.kubernetes.io/{taint}", "operator": "Exists", "effect": "NoExecute"}
    | {"tolerationSeconds": 0}
    for taint in ("unreachable", "not-ready")
]
WITNESS = "witness"


@pytest.mark.usefixtures("steady")
@pytest.mark.timeout(1200)
def test_a_node_without_its_kubelet(
    installed: Installed,
    cluster: Cluster,
) -> None:
    cluster.apply(
        steady_job(cluster, "leaving", tolerations=AT_ONCE), steady_job(cluster, "staying")
    )
    with sampled_status(installed.mlflow, cluster, "leaving") as statuses:
        staying = wait_for_steps(cluster, "staying")
        wait_for_steps(cluster, "leaving")
        with reachable_mlflow(cluster), another_node(cluster), stopped_kubelet():
            away_since = time.monotonic()
            wait_for("the pod is to leave", lambda: is_disrupted(cluster, "leaving"), 240)
            # It may still train: to start another one now would be wrong.
            assert [pod.status.phase for pod in pods(cluster, "leaving")] == ["Running"]
            assert cluster.state("leaving") == "Running"
            wait_for("two minutes", lambda: time.monotonic() - away_since > 120, 130)
        hurry = ("exec", staying, "--container=trainer", "--", "touch", "/tmp/hurry")  # noqa: S108 - the pod's
        kubectl("--namespace", cluster.namespace, *hurry)
        left = wait_for_end(cluster, "leaving", 600)
        stayed = wait_for_end(cluster, "staying", 600)

    assert outcomes(left) == [("Disrupted", "NodeLost", 143), ("Succeeded", None, 0)]
    assert (left.get("failedAttempts"), left["disruptions"]) == (None, 1)
    assert statuses.seen[-4:] == ["RUNNING", "SCHEDULED", "RUNNING", "FINISHED"]
    assert_went_on(installed.mlflow, cluster, "leaving", left["mlflow"]["runId"])

    assert outcomes(stayed) == [("Succeeded", None, 0)]
    assert_every_step_once(installed.mlflow, stayed["mlflow"]["runId"])


@contextmanager
def reachable_mlflow(cluster: Cluster) -> Iterator[None]:
    """MLflow as if it were on a node that is not lost.

    It is on the same one. Its Service would leave it out until the kubelet has probed it again,
    which may be after the second attempt runs: nobody could have made the run SCHEDULED.
    """
    place = "mlflow", "trainingjob-system"
    cluster.core.patch_namespaced_service(*place, {"spec": {"publishNotReadyAddresses": True}})
    try:
        yield
    finally:
        cluster.core.patch_namespaced_service(*place, {"spec": {"publishNotReadyAddresses": False}})


@contextmanager
def another_node(cluster: Cluster) -> Iterator[None]:
    """A second node that renews its lease, as a kubelet does, and takes no pods.

    Where no node answers at all, Kubernetes takes itself for what is cut off and lets all pods be.
    """
    now = datetime.now(UTC).isoformat()
    ready = {"type": "Ready", "status": "True", "reason": "KubeletReady", "message": ""}
    ready |= {"lastHeartbeatTime": now, "lastTransitionTime": now}
    cluster.core.create_node({"metadata": {"name": WITNESS}, "spec": {"unschedulable": True}})
    try:
        cluster.core.patch_node_status(WITNESS, {"status": {"conditions": [ready]}})
        with beside(lambda ended: renew_lease(cluster, ended)):
            yield
    finally:
        cluster.core.delete_node(WITNESS)


def renew_lease(cluster: Cluster, ended: threading.Event) -> None:
    leases = client.CoordinationV1Api(cluster.core.api_client)
    spec = {"holderIdentity": WITNESS, "leaseDurationSeconds": 40}
    body = {"metadata": {"name": WITNESS}, "spec": spec}
    leases.create_namespaced_lease("kube-node-lease", body)
    while not ended.wait(5):
        spec["renewTime"] = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
        leases.patch_namespaced_lease(WITNESS, "kube-node-lease", {"spec": spec})
    leases.delete_namespaced_lease(WITNESS, "kube-node-lease")


@contextmanager
def stopped_kubelet() -> Iterator[None]:
    """Stop the kubelet; afterwards it runs, and the node is ready."""
    localcluster("stop", "kubelet")
    try:
        yield
    finally:
        localcluster("start", "kubelet")
        kubectl("wait", "--for=condition=Ready", "nodes", "--all", "--timeout=120s")
        kubectl(
            *("--namespace", "trainingjob-system", "wait", "--for=condition=Ready"),
            *("pods", "--all", "--timeout=120s"),
        )


def localcluster(*arguments: str) -> None:
    subprocess.run([sys.executable, "-m", "localcluster", *arguments], check=True)


def is_disrupted(cluster: Cluster, name: str) -> bool:
    """Whether the taint manager has asked for the deletion of the job's pod."""
    return any(
        condition.type == "DisruptionTarget" and condition.reason == "DeletionByTaintManager"
        for pod in pods(cluster, name)
        for condition in pod.status.conditions or []
    )
