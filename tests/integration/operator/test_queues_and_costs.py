"""Queue, priority and labels of a TrainingJob as Kueue and cost tools read them."""

from typing import Any

from tests.support.api import Cluster, Manifest, Runs, manifest
from tests.support.pods import FOREVER, wait_for_attempt
from tests.support.processes import OperatorProcess
from tests.support.waiting import wait_for

QUEUE, PRIORITY = "kueue.x-k8s.io/queue-name", "kueue.x-k8s.io/priority-class"
# As `kubectl apply` leaves it, with a label by which Argo CD finds what it has applied.
APPLIED = {
    "kubectl.kubernetes.io/last-applied-configuration": "{}",
    "example.com/budget": "research",
}
LABELS = {
    QUEUE: "team-vision",
    PRIORITY: "high",
    "cost-center": "4711",
    "app.kubernetes.io/instance": "trainings",
}


def own(metadata: Any) -> list[dict[str, str]]:
    """Labels and annotations that neither Kubernetes nor the operator sets for itself."""
    others = (
        "trainingjob.dev/",
        "batch.kubernetes.io/",
        "kwok.",
        "app.kubernetes.io/managed-by",
        "controller-uid",
        "job-name",
    )
    return [
        {key: value for key, value in (one or {}).items() if not key.startswith(others)}
        for one in (metadata.labels, metadata.annotations)
    ]


def wait_for_state(cluster: Cluster, name: str, state: str) -> None:
    wait_for(f"{name} is {state}", lambda: cluster.state(name) == state, 60)


def labelled(name: str) -> Manifest:
    made = manifest(name, annotations=FOREVER)
    made["metadata"] |= {"labels": LABELS, "annotations": APPLIED}
    return made


def test_the_labels_of_a_job_reach_its_job_and_its_pods(
    cluster: Cluster, runs: Runs, operator: OperatorProcess
) -> None:
    cluster.apply(labelled("mine"))
    wait_for_state(cluster, "mine", "Queued")
    child = cluster.created_job("mine", 1)
    assert child.spec.suspend
    assert own(child.metadata) == [
        {QUEUE: "team-vision", PRIORITY: "high", "cost-center": "4711"},
        {"example.com/budget": "research"},
    ]

    cluster.batch.patch_namespaced_job("mine-1", cluster.namespace, {"spec": {"suspend": False}})
    wait_for_attempt(cluster, "mine", 1)
    [pod] = cluster.core.list_namespaced_pod(cluster.namespace).items
    assert own(pod.metadata) == [{"cost-center": "4711"}, {"example.com/budget": "research"}]


def test_a_suspended_job_resumes_in_another_queue(
    cluster: Cluster, runs: Runs, operator: OperatorProcess
) -> None:
    cluster.apply(labelled("moved"))
    wait_for_state(cluster, "moved", "Queued")
    cluster.change("moved", suspend=True)
    wait_for_state(cluster, "moved", "Suspended")
    cluster.change("moved", queueName="other", suspend=False)
    wait_for_state(cluster, "moved", "Queued")
    child = cluster.created_job("moved", 2)
    assert child.metadata.labels[QUEUE] == "other"
