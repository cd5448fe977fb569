"""Every reported end is the real one, whatever others do to a job's children meanwhile."""

import json
from datetime import UTC, datetime
from functools import partial
from typing import Any

from kubernetes.client.exceptions import ApiException

from tests.support.api import Cluster, Manifest, Runs, manifest
from tests.support.pods import FOREVER, end_pods, ended_status, live_pods, wait_for_attempt
from tests.support.processes import OperatorProcess
from tests.support.waiting import wait_for

REPORT = {
    "reason": "UserException",
    "message": "bad",
    "exception": "E",
    "frame": "t.py:1",
    "rank": 0,
}


def job(name: str, nodes: int = 1, **spec: Any) -> Manifest:
    made = manifest(name, nodes=nodes, annotations=FOREVER)
    made["spec"] |= spec
    return made


def ended(cluster: Cluster, runs: Runs, name: str, state: str, status: str) -> dict[str, Any]:
    """Wait for an end in both places; the status of the TrainingJob."""
    wait_for(f"{name} is {state}", lambda: cluster.state(name) == state, 60)
    wait_for(f"its run is {status}", lambda: runs.by_job()[name][0].info.status == status, 60)
    return cluster.status(name)


def child(cluster: Cluster, name: str) -> Any | None:
    try:
        return cluster.batch.read_namespaced_job(name, cluster.namespace)
    except ApiException as error:
        if error.status != 404:
            raise
        return None


def is_gone(cluster: Cluster, name: str) -> bool:
    return child(cluster, name) is None


def are_orphans(cluster: Cluster, name: str) -> bool:
    return not any(pod.metadata.owner_references for pod in pods(cluster, name))


def no_pod_lives(cluster: Cluster, name: str) -> bool:
    return not live_pods(cluster, name)


def delete_child(cluster: Cluster, name: str, propagation: str) -> None:
    cluster.batch.delete_namespaced_job(
        name, cluster.namespace, body={"propagationPolicy": propagation}
    )


def is_complete(cluster: Cluster, name: str) -> bool:
    found = child(cluster, name)
    conditions = (found.status.conditions or []) if found is not None else []
    return any(one.type == "Complete" for one in conditions)


def pods(cluster: Cluster, name: str) -> list[Any]:
    selector = f"trainingjob.dev/name={name}"
    found = cluster.core.list_namespaced_pod(cluster.namespace, label_selector=selector).items
    return sorted(found, key=lambda pod: str(pod.metadata.name))


def phases(cluster: Cluster, name: str) -> list[tuple[str, str | None]]:
    return [(pod.status.phase, pod.status.reason) for pod in pods(cluster, name)]


def set_status(cluster: Cluster, pod: Any, status: dict[str, Any]) -> None:
    cluster.core.patch_namespaced_pod_status(
        pod.metadata.name, cluster.namespace, {"status": status}
    )


def with_sidecar(code: int, phase: str, **state: Any) -> dict[str, Any]:
    """The status of a pod whose trainer has ended, and whose sidecar is in a state."""
    status = ended_status(code)
    sidecar = {**status["containerStatuses"][0], "name": "sidecar", "state": state}
    return {"phase": phase, "containerStatuses": [*status["containerStatuses"], sidecar]}


def test_a_job_that_completed_and_was_removed_while_the_operator_was_away(
    cluster: Cluster, runs: Runs, operator: OperatorProcess
) -> None:
    policies = {"back": "Background", "front": "Foreground", "orphan": "Orphan"}
    cluster.apply(*map(job, policies))
    for name in policies:
        wait_for_attempt(cluster, name, 1)
    operator.end()
    for name, policy in policies.items():
        end_pods(cluster, name, 0)
        wait_for("its Job is complete", partial(is_complete, cluster, f"{name}-1"), 60)
        delete_child(cluster, f"{name}-1", policy)
    operator.start()
    for name in policies:
        status = ended(cluster, runs, name, "Succeeded", "FINISHED")
        assert [one["outcome"] for one in status["attempts"]] == ["Succeeded"]
        wait_for("its Job may go", partial(is_gone, cluster, f"{name}-1"), 60)


def test_a_job_that_was_taken_away_by_force_is_no_failure_of_the_program(
    cluster: Cluster, runs: Runs, operator: OperatorProcess
) -> None:
    cluster.apply(job("robbed"))
    wait_for_attempt(cluster, "robbed", 1)
    operator.end()
    end_pods(cluster, "robbed", 0)
    delete_child(cluster, "robbed-1", "Background")
    body = [{"op": "remove", "path": "/metadata/finalizers"}]
    cluster.batch.patch_namespaced_job("robbed-1", cluster.namespace, body)
    wait_for("nothing is left of it", lambda: not pods(cluster, "robbed"), 60)
    operator.start()
    wait_for_attempt(cluster, "robbed", 2)
    status = cluster.status("robbed")
    [first, _] = status["attempts"]
    assert (first["outcome"], first["reason"]) == ("Disrupted", "JobDeleted")
    assert (status.get("failedAttempts"), status["disruptions"]) == (None, 1)


def test_a_running_job_whose_job_is_deleted_starts_again(
    cluster: Cluster, runs: Runs, operator: OperatorProcess
) -> None:
    cluster.apply(job("cut", nodes=2))
    wait_for_attempt(cluster, "cut", 1)
    delete_child(cluster, "cut-1", "Background")
    wait_for_attempt(cluster, "cut", 2)
    assert cluster.status("cut")["attempts"][0]["reason"] == "JobDeleted"
    assert child(cluster, "cut-1") is None
    end_pods(cluster, "cut", 0)
    ended(cluster, runs, "cut", "Succeeded", "FINISHED")


def test_orphaned_pods_are_followed_to_their_end(
    cluster: Cluster, runs: Runs, operator: OperatorProcess
) -> None:
    cluster.apply(job("good", nodes=2), job("bad"), job("deleted"))
    for name in ("good", "bad", "deleted"):
        wait_for_attempt(cluster, name, 1)
        delete_child(cluster, f"{name}-1", "Orphan")
        wait_for(
            "its pods are orphans",
            partial(are_orphans, cluster, name),
            60,
        )
    operator.end()
    operator.start()
    assert [cluster.state(name) for name in ("good", "bad", "deleted")] == ["Running"] * 3
    end_pods(cluster, "good", 0)
    end_pods(cluster, "bad", 3)
    ended(cluster, runs, "good", "Succeeded", "FINISHED")
    status = ended(cluster, runs, "bad", "Failed", "FAILED")
    assert status["attempts"][0]["exitCode"] == 3

    cluster.delete("deleted")
    wait_for("its pods have ended", partial(no_pod_lives, cluster, "deleted"), 60)
    wait_for("its run, too", lambda: runs.by_job()["deleted"][0].info.status == "KILLED", 60)
    # Pods that ended hold no deletion up.
    cluster.delete("good")
    wait_for("its Job is gone", partial(is_gone, cluster, "good-1"), 60)


def test_only_the_container_of_the_trainer_decides(
    cluster: Cluster, runs: Runs, operator: OperatorProcess
) -> None:
    """Another container, as an admission webhook injects it, fails or never ends."""
    now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    running = {"running": {"startedAt": now}, "terminated": None}
    broken = {"running": None, "terminated": {"exitCode": 1, "finishedAt": now, "startedAt": now}}
    cluster.apply(job("mixed", nodes=2), job("fails"))
    wait_for_attempt(cluster, "mixed", 1)
    wait_for_attempt(cluster, "fails", 1)
    first, second = pods(cluster, "mixed")
    set_status(cluster, first, with_sidecar(0, "Failed", **broken))
    wait_for(
        "the Job has seen it",
        lambda: (found := child(cluster, "mixed-1")) and found.status.failed_indexes == "0",
        60,
    )
    assert cluster.state("mixed") == "Running"
    assert [pod.metadata.name for pod in live_pods(cluster, "mixed")] == [second.metadata.name]
    set_status(cluster, second, with_sidecar(0, "Running", **running))
    ended(cluster, runs, "mixed", "Succeeded", "FINISHED")

    [failing] = pods(cluster, "fails")
    set_status(cluster, failing, with_sidecar(3, "Running", **running))
    status = ended(cluster, runs, "fails", "Failed", "FAILED")
    assert status["attempts"][0]["exitCode"] == 3
    for name in ("mixed", "fails"):
        wait_for("no pod keeps its GPUs", partial(no_pod_lives, cluster, name), 60)
    assert phases(cluster, "mixed") == [("Failed", None), ("Failed", "DeadlineExceeded")]


def test_a_failure_that_was_reported_counts_though_the_container_ended_with_0(
    cluster: Cluster, runs: Runs, operator: OperatorProcess
) -> None:
    cluster.apply(job("piped", backoffLimit=3), job("listed", backoffLimit=1, retry=RETRY))
    for name in ("piped", "listed"):
        wait_for_attempt(cluster, name, 1)
        [pod] = pods(cluster, name)
        status = ended_status(0)
        terminated = status["containerStatuses"][0]["state"]["terminated"]
        terminated["message"] = json.dumps(REPORT)
        set_status(cluster, pod, status)
    failure = ended(cluster, runs, "piped", "Failed", "FAILED")["failure"]
    assert (failure["reason"], failure["message"]) == ("UserException", "bad (t.py:1)")
    assert cluster.status("piped")["attempts"][0]["exitCode"] == 0
    wait_for_attempt(cluster, "listed", 2)


RETRY = {"retryableExitCodes": [1]}


def test_a_namespace_that_is_deleted_kills_its_runs(
    cluster: Cluster, runs: Runs, operator: OperatorProcess
) -> None:
    cluster.apply(job("one", nodes=2), job("again", backoffLimit=3), job("queued", queueName="q"))
    wait_for_attempt(cluster, "one", 1)
    wait_for_attempt(cluster, "again", 1)
    wait_for("it is queued", lambda: cluster.state("queued") == "Queued", 60)
    cluster.core.delete_namespace(cluster.namespace)
    wait_for("the namespace is gone", lambda: cluster.namespace not in namespaces(cluster), 120)
    assert {name: run.info.status for name, [run] in runs.by_job().items()} == {
        "one": "KILLED",
        "again": "KILLED",
        "queued": "KILLED",
    }


def namespaces(cluster: Cluster) -> list[str]:
    return [one.metadata.name for one in cluster.core.list_namespace().items]


def test_pods_stay_readable_when_their_attempt_is_ended(
    cluster: Cluster, runs: Runs, operator: OperatorProcess
) -> None:
    cluster.apply(job("paused", nodes=2), job("broken", nodes=2), job("stuck", nodes=2, **GPUS))
    wait_for_attempt(cluster, "paused", 1)
    wait_for_attempt(cluster, "broken", 1)
    wait_for("its pods are there", lambda: len(pods(cluster, "stuck")) == 2, 60)
    set_status(cluster, pods(cluster, "paused")[0], ended_status(0))
    set_status(cluster, pods(cluster, "broken")[1], ended_status(3))
    for name in ("paused", "stuck"):
        cluster.change(name, suspend=True)
    wait_for("it is suspended", lambda: cluster.state("paused") == "Suspended", 60)
    status = ended(cluster, runs, "broken", "Failed", "FAILED")
    assert (status["failure"]["rank"], status["attempts"][0]["exitCode"]) == (1, 3)
    assert phases(cluster, "paused") == [("Succeeded", None), ("Failed", "DeadlineExceeded")]
    assert phases(cluster, "broken") == [("Failed", "DeadlineExceeded"), ("Failed", None)]
    # A pod that no node has is no record of anything.
    wait_for("it is suspended", lambda: cluster.state("stuck") == "Suspended", 60)
    assert live_pods(cluster, "stuck") == []


GPUS = {"resourcesPerNode": {"limits": {"nvidia.com/gpu": 1000}}}
