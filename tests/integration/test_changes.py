"""Which fields of a TrainingJob can be changed, and how the API server refuses other changes."""

import json
from collections.abc import Iterator
from functools import partial
from typing import Any
from uuid import uuid4

import pytest
from kubernetes.client.exceptions import ApiException

from tests.support.api import Cluster, manifest
from tests.support.fixtures import Kwok

FIXED = (
    "spec cannot be changed but for suspend, stop, activeDeadlineSeconds, "
    "preRunningDeadlineSeconds, ttlSecondsAfterFinished, attemptHistoryLimit, a higher "
    "backoffLimit and, while the job is suspended, queueName: delete the TrainingJob and create "
    "it again; the claim of checkpoint.claimTemplate is deleted with it unless it has "
    "a checkpoint.claimName or claimRetention is Keep"
)
LOWERED = (
    "spec.backoffLimit: Forbidden: spec.backoffLimit can be raised, not lowered: to make no "
    "further attempt, set spec.suspend or spec.stop"
)
NOT_SUSPENDED = (
    "spec.queueName: Forbidden: spec.queueName can be changed while the job is suspended: set "
    "spec.suspend to true first"
)


STOPPED = (
    "spec.stop: Forbidden: spec.stop cannot be taken back: create a new TrainingJob, or use "
    "spec.suspend to pause one"
)


@pytest.fixture(scope="module")
def namespace(kwok: Kwok) -> Iterator[Cluster]:
    found = Cluster(kwok.kubeconfig, f"test-changes-{uuid4().hex[:8]}")
    found.create_namespace()
    yield found
    found.core.delete_namespace(found.namespace)


@pytest.fixture
def job(namespace: Cluster) -> partial[Any]:
    """Changes a new TrainingJob."""
    made = manifest(f"job-{uuid4().hex[:8]}")
    made["spec"] |= {"args": ["run", "mnist"]}
    namespace.apply(made)
    return partial(
        namespace.objects.patch_namespaced_custom_object,
        *("trainingjob.dev", "v1alpha1", namespace.namespace, "trainingjobs"),
        made["metadata"]["name"],
    )


def refusal(job: partial[Any], **spec: Any) -> str:
    with pytest.raises(ApiException) as answer:
        job({"spec": spec})
    return str(json.loads(answer.value.body)["message"])


@pytest.mark.parametrize(
    "change",
    [
        pytest.param({"args": ["run", "other"]}, id="another-value"),
        pytest.param({"args": None}, id="a-field-removed"),
        pytest.param({"command": ["python"]}, id="a-field-added"),
        pytest.param({"runtimeRef": {"name": "gpu"}}, id="a-runtime"),
        pytest.param({"numNodes": 2}, id="a-default-changed"),
        pytest.param({"args": [], "suspend": True}, id="beside-a-change-that-is-allowed"),
    ],
)
def test_what_the_pods_are_made_of_is_fixed(job: partial[Any], change: dict[str, Any]) -> None:
    assert FIXED in refusal(job, **change)


def test_what_steers_the_life_of_a_job_can_be_changed(job: partial[Any]) -> None:
    first = {
        "suspend": True,
        "activeDeadlineSeconds": 60,
        "preRunningDeadlineSeconds": 60,
        "ttlSecondsAfterFinished": 60,
        "attemptHistoryLimit": 0,
    }
    for spec in (first, {**first, "suspend": False}, dict.fromkeys(first)):
        job({"spec": spec})
    job({"metadata": {"labels": {"team": "vision"}}})


def test_the_backoff_limit_can_be_raised(job: partial[Any]) -> None:
    job({"spec": {"backoffLimit": 3}})
    assert LOWERED in refusal(job, backoffLimit=2)


def test_a_stop_is_final(job: partial[Any]) -> None:
    for spec in ({"stop": False}, {"stop": None}, {"stop": True}, {"stop": True, "suspend": True}):
        job({"spec": spec})
    assert STOPPED in refusal(job, stop=False)
    assert STOPPED in refusal(job, stop=None)


def test_the_queue_can_be_changed_while_the_job_is_suspended(job: partial[Any]) -> None:
    assert NOT_SUSPENDED in refusal(job, queueName="gpus")
    assert NOT_SUSPENDED in refusal(job, queueName="gpus", suspend=True)
    job({"spec": {"suspend": True}})
    for queue in ("gpus", "cpus", None):
        job({"spec": {"queueName": queue}})
    job({"spec": {"queueName": "gpus", "suspend": False}})
