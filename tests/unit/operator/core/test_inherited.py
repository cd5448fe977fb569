"""Which labels and annotations of a TrainingJob its Jobs and pods get."""

from typing import Any

import pytest
from trainingjob_operator.core import attempts, inherited, manifests
from trainingjob_operator.core.context import Context
from trainingjob_operator.core.tracking_uris import Tracking

from tests.support.jobs import RUN, SELECTOR, SERVERS, at, run, training_job

LABELS = {**SELECTOR, "trainingjob.dev/attempt": "1"}
QUEUE, PRIORITY = "kueue.x-k8s.io/queue-name", "kueue.x-k8s.io/priority-class"


def child(spec: dict[str, Any] | None = None, **metadata: Any) -> dict[str, Any]:
    job = training_job(spec, **metadata)
    return manifests.child_job(job, 1, RUN, Tracking("http://mlflow:5000"))


def metadata_of_both(made: dict[str, Any]) -> list[dict[str, Any]]:
    """Labels and annotations of the Job, and of its pods."""
    template = made["spec"]["template"]["metadata"]
    kinds = ("labels", "annotations")
    return [{kind: one.get(kind) for kind in kinds} for one in (made["metadata"], template)]


@pytest.mark.parametrize(
    ("key", "job", "pods"),
    [
        ("cost-center", True, True),
        ("example.com/team", True, True),
        ("sidecar.istio.io/inject", True, True),
        ("notkubernetes.io/team", True, True),
        (PRIORITY, True, False),
        ("provreq.kueue.x-k8s.io/maxRunDurationSeconds", True, False),
        ("jobset.x-k8s.io/jobset-name", False, False),
        ("jobset.sigs.k8s.io/jobset-name", False, False),
        ("app.kubernetes.io/name", False, False),
        ("kubectl.kubernetes.io/last-applied-configuration", False, False),
        ("applyset.kubernetes.io/part-of", False, False),
        ("meta.helm.sh/release-name", False, False),
        ("helm.sh/chart", False, False),
        ("argocd.argoproj.io/tracking-id", False, False),
        ("kustomize.toolkit.fluxcd.io/name", False, False),
        ("kapp.k14s.io/app", False, False),
        ("objectset.rio.cattle.io/hash", False, False),
        ("trainingjob.dev/attempt", False, False),
    ],
)
def test_what_is_passed_on(key: str, job: bool, pods: bool) -> None:
    entries = {key: "x"}
    assert (inherited.by_job(entries), inherited.by_pods(entries)) == (
        entries if job else {},
        entries if pods else {},
    )


def test_what_is_said_of_the_pods_or_by_the_operator_wins() -> None:
    made = child(
        {"podLabels": {"team": "pods"}, "podAnnotations": {"note": "pods"}},
        labels={"team": "job", PRIORITY: "high", "trainingjob.dev/uid": "forged"},
        annotations={"note": "job", "budget": "7"},
    )
    assert metadata_of_both(made) == [
        {
            "labels": {"team": "job", PRIORITY: "high", **LABELS},
            "annotations": {"note": "job", "budget": "7"},
        },
        {
            "labels": {"team": "pods", **LABELS},
            "annotations": {"note": "pods", "budget": "7"},
        },
    ]


@pytest.mark.parametrize(
    ("spec", "labels", "queue"),
    [
        ({}, {}, None),
        ({}, {QUEUE: ""}, None),
        ({}, {QUEUE: "team"}, "team"),
        ({"queueName": "gpus"}, {}, "gpus"),
        ({"queueName": "gpus"}, {QUEUE: "team"}, "gpus"),
    ],
)
def test_the_queue_is_that_of_the_spec_or_else_of_the_label(
    spec: dict[str, Any], labels: dict[str, str], queue: str | None
) -> None:
    made = child(spec, labels=labels)
    assert (made["metadata"]["labels"].get(QUEUE) or None) == queue
    assert made["spec"].get("suspend", False) is (queue is not None)
    job = training_job(spec, labels=labels)
    begun = attempts.begun(Context(job, run(), at(0), SERVERS, Tracking(SERVERS.default_uri)))
    assert begun.state == ("Queued" if queue else "Starting")
