"""Names that others have, and what of ours others take away: reported, and made good."""

from functools import partial
from typing import Any

from kubernetes.client.exceptions import ApiException

from tests.support.api import Cluster, Manifest, Runs, manifest
from tests.support.pods import FOREVER, end_pods, wait_for_attempt
from tests.support.processes import OperatorProcess
from tests.support.waiting import wait_for

CONTAINER = {"name": "trainer", "image": "fake:1"}
SUSPENDED = {
    "suspend": True,
    "template": {"spec": {"restartPolicy": "Never", "containers": [CONTAINER]}},
}
PORTS = {"ports": [{"port": 80}]}
CLAIM = {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}}


def job(name: str, nodes: int = 1, **spec: Any) -> Manifest:
    made = manifest(name, nodes=nodes, annotations=FOREVER)
    made["spec"] |= spec
    return made


def reason(cluster: Cluster, name: str) -> str | None:
    """The reason of the condition Running."""
    found = (cluster.get(name) or {}).get("status", {}).get("conditions", [])
    return next((one["reason"] for one in found if one["type"] == "Running"), None)


def conflicts(cluster: Cluster, name: str) -> bool:
    return reason(cluster, name) == "NameConflict"


def service(cluster: Cluster, name: str) -> Any | None:
    try:
        return cluster.core.read_namespaced_service(name, cluster.namespace)
    except ApiException as error:
        if error.status != 404:
            raise
        return None


def serves(cluster: Cluster, name: str) -> bool:
    """Whether the Service is the TrainingJob's own."""
    found, owner = service(cluster, name), cluster.get(name)
    if found is None or owner is None:
        return False
    owners = [one.uid for one in found.metadata.owner_references or []]
    uid = owner["metadata"]["uid"]
    return owners == [uid] and found.spec.selector["trainingjob.dev/uid"] == uid


def test_a_name_that_somebody_else_has_is_reported_and_waited_for(
    cluster: Cluster, runs: Runs, operator: OperatorProcess
) -> None:
    cluster.core.create_namespaced_service(
        cluster.namespace, {"metadata": {"name": "served"}, "spec": PORTS}
    )
    cluster.batch.create_namespaced_job(
        cluster.namespace, {"metadata": {"name": "batch-1"}, "spec": SUSPENDED}
    )
    cluster.apply(job("served", nodes=2), job("batch"))
    for name in ("served", "batch"):
        wait_for(f"{name} reports it", partial(conflicts, cluster, name), 15)
        assert cluster.state(name) == "Starting"
        assert ("Warning", "NameConflict") in cluster.events(name)
    cluster.core.delete_namespaced_service("served", cluster.namespace)
    cluster.batch.delete_namespaced_job(
        "batch-1", cluster.namespace, body={"propagationPolicy": "Background"}
    )
    for name in ("served", "batch"):
        wait_for_attempt(cluster, name, 1, 120)


def test_what_an_earlier_job_left_behind_is_used_or_let_go(
    cluster: Cluster, runs: Runs, operator: OperatorProcess
) -> None:
    cluster.apply(job("again", nodes=2))
    wait_for_attempt(cluster, "again", 1)
    end_pods(cluster, "again", 0)
    wait_for("it is over", lambda: cluster.has_ended("again"), 60)
    cluster.objects.delete_namespaced_custom_object(
        "trainingjob.dev",
        "v1alpha1",
        cluster.namespace,
        "trainingjobs",
        "again",
        body={"propagationPolicy": "Orphan"},
    )
    wait_for("it is gone", lambda: cluster.get("again") is None, 60)
    left = service(cluster, "again")
    assert left is not None
    assert not left.metadata.owner_references
    cluster.apply(job("again", nodes=2))
    # Its Job is the record of another training, and reported; its Service is adopted.
    wait_for("the Job is reported", lambda: conflicts(cluster, "again"), 60)
    cluster.batch.delete_namespaced_job(
        "again-1", cluster.namespace, body={"propagationPolicy": "Background"}
    )
    wait_for_attempt(cluster, "again", 1, 120)
    assert serves(cluster, "again")


def test_a_service_that_is_deleted_is_created_again(
    cluster: Cluster, runs: Runs, operator: OperatorProcess
) -> None:
    cluster.apply(job("served", nodes=2))
    wait_for_attempt(cluster, "served", 1)
    cluster.core.delete_namespaced_service("served", cluster.namespace)
    wait_for("it is there again", lambda: serves(cluster, "served"), 60)
    end_pods(cluster, "served", 0)
    wait_for("it succeeds", lambda: cluster.state("served") == "Succeeded", 60)


def test_the_job_of_a_trainingjob_that_is_gone_goes_when_the_operator_is_back(
    cluster: Cluster, runs: Runs, operator: OperatorProcess
) -> None:
    cluster.apply(job("robbed"))
    wait_for_attempt(cluster, "robbed", 1)
    operator.end()
    cluster.delete("robbed")
    wait_for("it is gone", lambda: cluster.get("robbed") is None, 60)
    operator.start()
    wait_for("its Job is gone", lambda: not jobs(cluster), 60)


def jobs(cluster: Cluster) -> list[Any]:
    return list(cluster.batch.list_namespaced_job(cluster.namespace).items)


def test_a_job_that_is_created_again_finds_its_claim(
    cluster: Cluster, runs: Runs, operator: OperatorProcess
) -> None:
    checkpoint = {"path": "/checkpoints", "claimName": "kept", "claimTemplate": CLAIM}
    for _ in range(2):
        cluster.apply(job("trained", checkpoint=checkpoint))
        wait_for("its Job is there", lambda: jobs(cluster), 60)
        cluster.delete("trained")
        wait_for("it is gone", lambda: cluster.get("trained") is None and not jobs(cluster), 60)
    [claim] = cluster.core.list_namespaced_persistent_volume_claim(cluster.namespace).items
    assert (claim.metadata.name, claim.metadata.owner_references) == ("kept", None)
