"""A test in the part of the kubelet: pods that run for ever end as the test says."""

from datetime import UTC, datetime
from typing import Any

from tests.support.api import Cluster
from tests.support.waiting import wait_for

FOREVER = {"kwok.trainingjob.dev/run-seconds": "forever"}
# Long enough for MLflow to get SCHEDULED before the next RUNNING: it gets the newest only.
STARTS_SLOWLY = {"kwok.trainingjob.dev/start-seconds": "5"}


def live_pods(cluster: Cluster, name: str) -> list[Any]:
    """The pods of a TrainingJob that have not ended."""
    selector = f"trainingjob.dev/name={name}"
    found = cluster.core.list_namespaced_pod(cluster.namespace, label_selector=selector).items
    return [pod for pod in found if pod.status.phase not in ("Succeeded", "Failed")]


def wait_for_attempt(cluster: Cluster, name: str, attempt: int, seconds: float = 60) -> None:
    """Wait until an attempt runs, and see that no other one lives."""

    def runs() -> bool:
        status = (cluster.get(name) or {}).get("status", {})
        return (status.get("attempt"), status.get("state")) == (attempt, "Running")

    wait_for(f"attempt {attempt} of {name} runs", runs, seconds)
    labels = {pod.metadata.labels["trainingjob.dev/attempt"] for pod in live_pods(cluster, name)}
    assert labels == {str(attempt)}


def end_pods(cluster: Cluster, name: str, code: int, disruption: str = "") -> None:
    """End all live pods of a TrainingJob with an exit code; disrupted, as an eviction does it."""
    for pod in live_pods(cluster, name):
        cluster.core.patch_namespaced_pod_status(
            pod.metadata.name, cluster.namespace, {"status": ended_status(code, disruption)}
        )


def ended_status(code: int, disruption: str = "") -> dict[str, Any]:
    """The status of a pod whose trainer has ended now; disrupted, as an eviction does it."""
    now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    terminated = {
        "exitCode": code,
        "reason": "Error" if code else "Completed",
        "startedAt": now,
        "finishedAt": now,
    }
    container = {
        "name": "trainer",
        "image": "fake:1",
        "imageID": "",
        "ready": False,
        "restartCount": 0,
        "state": {"running": None, "terminated": terminated},
    }
    status: dict[str, Any] = {
        "phase": "Failed" if code else "Succeeded",
        "containerStatuses": [container],
    }
    if disruption:
        condition = {"type": "DisruptionTarget", "status": "True", "reason": disruption}
        status["conditions"] = [{**condition, "lastTransitionTime": now}]
    return status
