"""What the tests of the operator rely on in the control plane with fake nodes."""

import json
from typing import Any
from uuid import uuid4

import psutil
import pytest
from localcluster.programs import chosen_kubernetes

from tests.integration.localcluster.machine import cluster_processes
from tests.support.api import Cluster
from tests.support.fixtures import Kwok
from tests.support.waiting import wait_for


def audited(kwok: Kwok, name: str) -> list[dict[str, Any]]:
    """The events of the audit log about the object `name`."""
    events = [json.loads(line) for line in kwok.audit_log.read_text().splitlines()]
    return [event for event in events if event.get("objectRef", {}).get("name") == name]


def test_it_is_the_kubernetes_that_was_chosen(kwok: Kwok) -> None:
    version = json.loads(kwok.kubectl("version", "--output=json"))["serverVersion"]
    assert f"{version['major']}.{version['minor']}" == chosen_kubernetes()
    assert version["gitVersion"].startswith(f"v{chosen_kubernetes()}.")


def test_it_listens_on_loopback_only(kwok: Kwok) -> None:
    cache = kwok.kubeconfig.parents[2]
    listening = {
        connection.laddr.ip
        for process in cluster_processes(cache, "kwok")
        for connection in process.net_connections()
        if connection.status == psutil.CONN_LISTEN
    }
    assert listening == {"127.0.0.1"}


def test_the_audit_log_has_each_write_once_and_no_read(kwok: Kwok, cluster: Cluster) -> None:
    name = f"audited-{uuid4().hex[:8]}"
    here = f"--namespace={cluster.namespace}"
    kwok.kubectl("create", "configmap", name, here, "--from-literal=word=secret")
    kwok.kubectl("get", "configmap", name, here)
    kwok.kubectl("annotate", "configmap", name, here, "read=no")
    kwok.kubectl("delete", "configmap", name, here)

    written = wait_for(
        "the deletion is in the audit log",
        lambda: [e for e in audited(kwok, name) if e["verb"] == "delete"] and audited(kwok, name),
        30,
    )

    assert [(event["verb"], event["stage"]) for event in written] == [
        ("create", "ResponseComplete"),
        ("patch", "ResponseComplete"),
        ("delete", "ResponseComplete"),
    ]
    assert "secret" not in json.dumps(written)


def test_rights_are_those_of_rbac(kwok: Kwok, cluster: Cluster) -> None:
    account = f"--as=system:serviceaccount:{cluster.namespace}:default"
    refused = kwok.call("get", "secrets", f"--namespace={cluster.namespace}", account)
    assert "is forbidden" in refused.stderr


@pytest.mark.parametrize(
    ("annotations", "phase", "terminated"),
    [
        ({}, "Succeeded", {"exitCode": 0, "reason": "Completed"}),
        (
            {"exit-code": "137", "reason": "OOMKilled", "termination-message": "too much"},
            "Failed",
            {"exitCode": 137, "reason": "OOMKilled", "message": "too much"},
        ),
    ],
)
def test_a_pod_of_a_job_ends_as_its_annotations_say(
    cluster: Cluster, annotations: dict[str, str], phase: str, terminated: dict[str, Any]
) -> None:
    steering = {f"kwok.trainingjob.dev/{name}": value for name, value in annotations.items()}
    steering["kwok.trainingjob.dev/run-seconds"] = "0"
    container = {"name": "main", "image": "fake:1"}
    cluster.batch.create_namespaced_job(
        cluster.namespace,
        {
            "metadata": {"name": "steered"},
            "spec": {
                "backoffLimit": 0,
                "template": {
                    "metadata": {"annotations": steering},
                    "spec": {"restartPolicy": "Never", "containers": [container]},
                },
            },
        },
    )

    def ended() -> Any:
        pods = cluster.core.list_namespaced_pod(cluster.namespace).items
        return [pod.status for pod in pods if pod.status.phase in ("Succeeded", "Failed")]

    (status,) = wait_for("the pod has ended", ended, 60)
    assert status.phase == phase
    state = status.container_statuses[0].state.terminated.to_dict()
    told = {"exitCode": state["exit_code"], "reason": state["reason"], "message": state["message"]}
    assert {key: told[key] for key in terminated} == terminated
