"""Pods that the API server refuses: the status names the cause itself, soon."""

from typing import Any

import pytest
from kubernetes import client

from tests.support.api import Cluster
from tests.support.node import script_job
from tests.support.waiting import wait_for

QUOTA = {"hard": {"limits.cpu": "4", "limits.memory": "8Gi"}}
RANGE = {
    "limits": [
        {
            "type": "Container",
            "default": {"memory": "256Mi", "cpu": "500m"},
            "defaultRequest": {"memory": "128Mi", "cpu": "100m"},
        }
    ]
}


def create_quota(core: client.CoreV1Api, namespace: str) -> None:
    """A quota that asks every pod for a CPU limit."""
    core.create_namespaced_resource_quota(
        namespace, {"metadata": {"name": "compute"}, "spec": QUOTA}
    )


def create_range(core: client.CoreV1Api, namespace: str) -> None:
    """A default limit that is below the job's request."""
    core.create_namespaced_limit_range(namespace, {"metadata": {"name": "defaults"}, "spec": RANGE})


@pytest.mark.parametrize(
    ("create", "resources", "cause"),
    [
        pytest.param(create_quota, {"limits": {"memory": "1Gi"}}, "limits.cpu", id="quota"),
        pytest.param(
            create_range,
            {"requests": {"memory": "1Gi"}},
            "must be less than or equal to memory limit of 256Mi",
            id="limit-range",
        ),
    ],
)
def test_the_status_says_who_refused_the_pods(
    cluster: Cluster, create: Any, resources: dict[str, Any], cause: str
) -> None:
    create(cluster.core, cluster.namespace)
    job = script_job("refused", "exit_3.py")
    job["spec"]["resourcesPerNode"] = resources
    cluster.apply(job)

    def reported() -> bool:
        status = (cluster.get("refused") or {}).get("status", {})
        return any(cause in one["message"] for one in status.get("conditions", []))

    wait_for(f"a condition says: {cause}", reported, 30)
    assert cluster.status("refused")["state"] in ("Pending", "Starting")
