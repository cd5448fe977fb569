"""A training that is interrupted on a real node goes on at the step where it was, and says so."""

import pytest

from tests.support.api import Cluster
from tests.support.node import Installed, log, pods, sampled_status, wait_for_end
from tests.support.training import (
    assert_went_on,
    kubectl,
    outcomes,
    steady_job,
    wait_for_steps,
)
from tests.support.waiting import wait_for

# A quick start is written as RUNNING at once.
TWICE = ["RUNNING", "SCHEDULED", "RUNNING", "FINISHED"]
pytestmark = [pytest.mark.usefixtures("steady"), pytest.mark.timeout(1200)]


def test_deleting_a_pod_ends_the_attempt_of_all_ranks(
    installed: Installed, cluster: Cluster
) -> None:
    cluster.apply(steady_job(cluster, "deleted", nodes=2, backoffLimit=1))
    with sampled_status(installed.mlflow, cluster, "deleted") as statuses:
        pod = wait_for_steps(cluster, "deleted")
        kubectl("--namespace", cluster.namespace, "delete", "pod", pod, "--wait=false")
        status = wait_for_end(cluster, "deleted", 600)

    assert status["state"] == "Succeeded", status
    assert outcomes(status) == [("Failed", "Signal", 143), ("Succeeded", None, 0)]
    assert (status["failedAttempts"], status.get("disruptions")) == (1, None)
    assert statuses.seen[-4:] == TWICE
    assert_went_on(installed.mlflow, cluster, "deleted", status["mlflow"]["runId"])


def test_draining_the_node_is_not_charged(installed: Installed, cluster: Cluster) -> None:
    cluster.apply(steady_job(cluster, "drained"))
    with sampled_status(installed.mlflow, cluster, "drained") as statuses:
        wait_for_steps(cluster, "drained")
        [node] = cluster.core.list_node().items
        try:
            kubectl(
                *("drain", node.metadata.name, "--ignore-daemonsets", "--delete-emptydir-data"),
                *("--pod-selector", "trainingjob.dev/name=drained", "--timeout=120s"),
            )
            wait_for("attempt 2 has no node", lambda: is_unschedulable(cluster, "drained"), 180)
        finally:
            kubectl("uncordon", node.metadata.name)
        status = wait_for_end(cluster, "drained", 600)

    assert status["state"] == "Succeeded", status
    assert outcomes(status) == [("Disrupted", "Evicted", 143), ("Succeeded", None, 0)]
    assert (status.get("failedAttempts"), status["disruptions"]) == (None, 1)
    assert statuses.seen[-4:] == TWICE
    assert_went_on(installed.mlflow, cluster, "drained", status["mlflow"]["runId"])


def is_unschedulable(cluster: Cluster, name: str) -> bool:
    """Whether a pod of the job waits for a node."""
    conditions = [one for pod in pods(cluster, name) for one in pod.status.conditions or []]
    return any(one.reason == "Unschedulable" for one in conditions)


def test_suspended_and_resumed(installed: Installed, cluster: Cluster) -> None:
    cluster.apply(steady_job(cluster, "paused"))
    with sampled_status(installed.mlflow, cluster, "paused") as statuses:
        wait_for_steps(cluster, "paused")
        suspend(cluster, "paused", "true")
        wait_for("it is suspended", lambda: cluster.state("paused") == "Suspended", 180)
        [stopped] = pods(cluster, "paused")
        assert stopped.status.phase == "Failed"
        assert "checkpoint" in log(cluster, stopped.metadata.name), "its log can still be read"
        wait_for("the run waits", lambda: statuses.seen[-1:] == ["SCHEDULED"], 60)
        suspend(cluster, "paused", "false")
        status = wait_for_end(cluster, "paused", 600)

    assert status["state"] == "Succeeded", status
    assert outcomes(status) == [("Suspended", "Suspended", None), ("Succeeded", None, 0)]
    assert (status.get("failedAttempts"), status.get("disruptions")) == (None, None)
    assert statuses.seen[-4:] == TWICE
    assert_went_on(installed.mlflow, cluster, "paused", status["mlflow"]["runId"])


def suspend(cluster: Cluster, name: str, value: str) -> None:
    """Change spec.suspend as a user would."""
    kubectl(
        *("--namespace", cluster.namespace, "patch", "trainingjob", name, "--type=merge"),
        *("--patch", f'{{"spec":{{"suspend":{value}}}}}'),
    )
