"""The slim views that are made of whole objects of the API."""

from typing import Any

import pytest
from trainingjob_operator.core.decode import job_view, pod_view
from trainingjob_operator.core.observe import ContainerEnd, JobView, PodView, Waiting, owner_key

from tests.support.jobs import at

LABELS = {
    "trainingjob.dev/name": "mnist",
    "trainingjob.dev/uid": "u-1",
    "trainingjob.dev/attempt": "2",
}


def pod(status: dict[str, Any], **metadata: Any) -> PodView:
    return pod_view(
        {
            "metadata": {
                "namespace": "ml",
                "name": "mnist-2-1-x",
                "labels": LABELS,
                "annotations": {"batch.kubernetes.io/job-completion-index": "1"},
                "ownerReferences": [{"kind": "Job", "uid": "j-1", "controller": True}],
                **metadata,
            },
            "spec": {"nodeName": "node-1"},
            "status": status,
        }
    )


def container(**state: Any) -> list[dict[str, Any]]:
    return [{"name": "sidecar", "state": {}}, {"name": "trainer", "state": state}]


def test_a_pod_that_ended() -> None:
    terminated = {
        "exitCode": 137,
        "reason": "OOMKilled",
        "message": "bye",
        "startedAt": "2026-01-01T00:00:05Z",
        "finishedAt": "2026-01-01T00:00:20Z",
    }
    assert pod(
        {"phase": "Failed", "containerStatuses": container(terminated=terminated)}
    ) == PodView(
        namespace="ml",
        name="mnist-2-1-x",
        owner="mnist",
        owner_uid="u-1",
        attempt=2,
        rank=1,
        phase="Failed",
        node="node-1",
        deleting=False,
        reason="",
        disruption="",
        started_at=at(5),
        end=ContainerEnd(137, "OOMKilled", "bye", at(20)),
        waiting=None,
        job_uid="j-1",
        ending=False,
        deleted_at=None,
        disrupted_at=None,
    )


def init(name: str, **state: Any) -> dict[str, Any]:
    """What an init container's status says while the trainer waits for it."""
    waiting = container(waiting={"reason": "PodInitializing"})
    return {
        "containerStatuses": waiting,
        "initContainerStatuses": [
            {"name": "done", "state": {"terminated": {"exitCode": 0, "reason": "Completed"}}},
            {"name": name, **state},
        ],
    }


UNSCHEDULABLE = {
    "type": "PodScheduled",
    "status": "False",
    "reason": "Unschedulable",
    "message": "0/3 nodes",
}

WAITING = [
    pytest.param(
        {"containerStatuses": container(waiting={"reason": "ContainerCreating"})},
        Waiting("ContainerCreating", ""),
        id="creating",
    ),
    pytest.param(
        {"containerStatuses": container(waiting={"reason": "ErrImagePull", "message": "no"})},
        Waiting("ImagePullBackOff", "no"),
        id="the-two-reasons-of-a-failed-pull-are-one",
    ),
    pytest.param(
        init("fetch", state={"running": {}}),
        Waiting("PodInitializing", ""),
        id="an-init-container-runs",
    ),
    pytest.param(
        init("fetch", state={"waiting": {"reason": "ErrImagePull", "message": "no"}}),
        Waiting("ImagePullBackOff", "container fetch: no"),
        id="the-image-of-an-init-container",
    ),
    pytest.param(
        init(
            "mesh",
            state={"waiting": {"reason": "CrashLoopBackOff", "message": "back-off 10s"}},
            lastState={"terminated": {"exitCode": 7, "reason": "Error", "message": "no key\n"}},
        ),
        Waiting(
            "CrashLoopBackOff",
            "container mesh: back-off 10s; it ended with exit code 7: no key",
        ),
        id="a-sidecar-that-ends-again-and-again",
    ),
    pytest.param(
        {"conditions": [UNSCHEDULABLE]}, Waiting("Unschedulable", "0/3 nodes"), id="unschedulable"
    ),
    pytest.param(
        {"conditions": [{**UNSCHEDULABLE, "reason": "SchedulerError", "message": "no lease"}]},
        Waiting("SchedulerError", "no lease"),
        id="the-scheduler-failed",
    ),
    pytest.param(
        {"conditions": [{"type": "PodScheduled", "status": "True"}]}, None, id="scheduled"
    ),
    pytest.param({}, None, id="nothing-reported-yet"),
]


@pytest.mark.parametrize(("status", "expected"), WAITING)
def test_why_a_pod_waits(status: dict[str, Any], expected: Waiting | None) -> None:
    assert pod(status).waiting == expected


def test_a_pod_that_is_being_deleted_and_runs() -> None:
    running = container(running={"startedAt": "2026-01-01T00:00:05Z"})
    view = pod(
        {"phase": "Running", "containerStatuses": running},
        deletionTimestamp="2026-01-01T00:00:09Z",
    )
    assert (view.deleting, view.started, view.end) == (True, True, None)
    assert owner_key(view) == "ml/mnist"


def job(status: dict[str, Any], owner: dict[str, Any]) -> JobView:
    return job_view(
        {
            "metadata": {
                "namespace": "ml",
                "name": "mnist-2",
                "uid": "j-1",
                "creationTimestamp": "2026-01-01T00:00:05Z",
                "resourceVersion": "7",
                "labels": LABELS,
                "ownerReferences": [owner],
            },
            "status": status,
        }
    )


OURS = {"kind": "TrainingJob", "uid": "u-1", "controller": True}


def test_a_failed_job_of_ours() -> None:
    condition = {
        "type": "Failed",
        "status": "True",
        "reason": "BackoffLimitExceeded",
        "message": "too many",
        "lastTransitionTime": "2026-01-01T00:00:21Z",
    }
    assert job({"conditions": [condition]}, OURS) == JobView(
        namespace="ml",
        name="mnist-2",
        uid="j-1",
        owner="mnist",
        owner_uid="u-1",
        created_at=at(5),
        complete=False,
        failing=False,
        failed=True,
        reason="BackoffLimitExceeded",
        message="too many",
        ended_at=at(21),
        suspended=False,
        deleting=False,
        deleted_at=None,
        failed_ranks=frozenset(),
        ending=False,
        held=False,
        foreground=False,
        orphaning=False,
    )


def test_a_job_of_somebody_else_has_no_owner_that_we_know() -> None:
    assert job({}, {"kind": "CronJob", "uid": "c-1", "controller": True}).owner_uid == ""


def test_a_job_whose_pods_are_being_ended_says_so_before_it_has_failed() -> None:
    target = {"type": "FailureTarget", "status": "True", "reason": "PodFailurePolicy"}
    view = job({"conditions": [target]}, OURS)
    assert (view.failing, view.failed, view.ended, view.reason) == (
        True,
        False,
        False,
        "PodFailurePolicy",
    )


def test_a_disrupted_pod_names_who_ends_it() -> None:
    target = {"type": "DisruptionTarget", "status": "True", "reason": "EvictionByEvictionAPI"}
    assert pod({"phase": "Running", "conditions": [target]}).disruption == "EvictionByEvictionAPI"
    withdrawn = {**target, "status": "False"}
    assert pod({"phase": "Running", "conditions": [withdrawn]}).disruption == ""


READY = {"type": "PodReadyToStartContainers", "status": "True"}


def test_a_pod_whose_volumes_and_sandbox_are_there() -> None:
    assert pod({"conditions": [READY]}).ready_to_start
    assert not pod({"conditions": [{**READY, "status": "False"}]}).ready_to_start
    assert not pod({}).ready_to_start


INDEX = "batch.kubernetes.io/job-completion-index"
RANKS: list[Any] = [
    pytest.param({INDEX: "1"}, {}, 1, id="annotation"),
    pytest.param({INDEX: "x"}, {INDEX: "1"}, 1, id="the-label-where-the-annotation-is-no-number"),
    pytest.param({INDEX: "9" * 5000}, {INDEX: "-1"}, 0, id="neither"),
    pytest.param({}, {}, 0, id="none"),
]


@pytest.mark.parametrize(("annotations", "labels", "rank"), RANKS)
def test_the_rank_of_a_pod(annotations: dict[str, str], labels: dict[str, str], rank: int) -> None:
    assert pod({}, annotations=annotations, labels={**LABELS, **labels}).rank == rank


def test_a_pod_of_no_attempt_that_is_known_by_its_label() -> None:
    for label in ("abc", "-1", "1.5", "9" * 63):
        assert pod({}, labels={**LABELS, "trainingjob.dev/attempt": label}).attempt == 0


@pytest.mark.parametrize(
    "time", ["0001-01-02T00:00:00Z", "1970-01-01T00:00:00Z", "9999-12-31T23:59:59-12:00", None]
)
def test_times_that_are_none(time: str | None) -> None:
    """A runtime writes 1970 for the start of a container that never ran."""
    terminated = {"exitCode": 128, "startedAt": time, "finishedAt": time}
    view = pod({"phase": "Failed", "containerStatuses": container(terminated=terminated)})
    assert (view.started, view.end) == (False, ContainerEnd(128, "", "", None))
    completed = {"type": "Complete", "status": "True", "lastTransitionTime": time}
    assert job({"completionTime": time, "conditions": [completed]}, OURS).ended_at is None


def test_of_a_message_longer_than_any_kubelets_the_end_is_kept() -> None:
    terminated = {"exitCode": 1, "message": "x" * 100_000 + " the cause"}
    view = pod({"phase": "Failed", "containerStatuses": container(terminated=terminated)})
    assert view.end is not None
    assert len(view.end.message) == 4096
    assert view.end.message.endswith(" the cause")
