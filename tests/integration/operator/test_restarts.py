"""Jobs of several attempts on the real control plane, with what became of the run each time."""

from typing import Any

from tests.support.api import Cluster, Runs, manifest, operator_writes
from tests.support.fixtures import Kwok
from tests.support.histories import run_histories
from tests.support.pods import FOREVER, STARTS_SLOWLY, end_pods, live_pods, wait_for_attempt
from tests.support.processes import MlflowServer, OperatorProcess
from tests.support.waiting import wait_for

STATUS = "patch trainingjobs/status"
SLOW = {**FOREVER, **STARTS_SLOWLY}


def job(name: str, nodes: int = 1, **spec: Any) -> dict[str, Any]:
    made = manifest(name, nodes=nodes, annotations=FOREVER)
    made["spec"] |= spec
    return made


def outcomes(cluster: Cluster, name: str) -> list[tuple[str | None, str | None]]:
    return [(one["outcome"], one.get("reason")) for one in cluster.status(name)["attempts"]]


def run_says(runs: Runs, name: str, expected: str) -> None:
    wait_for(f"the run is {expected}", lambda: runs.by_job()[name][0].info.status == expected, 60)


def test_a_retry_and_a_disruption_and_then_success(
    kwok: Kwok, cluster: Cluster, runs: Runs, mlflow: MlflowServer, operator: OperatorProcess
) -> None:
    audit = kwok.audit_log
    cluster.apply(job("again", backoffLimit=1, podAnnotations=SLOW))
    with run_histories(mlflow, cluster.namespace) as histories:
        wait_for_attempt(cluster, "again", 1)
        offset = audit.stat().st_size
        end_pods(cluster, "again", 139)
        cluster.wait_for_state("again", "Restarting")
        assert cluster.status("again")["failedAttempts"] == 1
        wait_for_attempt(cluster, "again", 2)
        [run] = runs.by_job()["again"]
        assert run.data.tags["trainingjob.attempt"] == "2"
        # Stored, then acted on, then reported. What takes a pod or MLflow long has its own write,
        # at whatever time it is known: a status more, before the Job or after it.
        stored, *between, shown = operator_writes(audit, cluster.namespace, offset)
        assert stored == shown == STATUS
        others = [write for write in between if write != STATUS]
        assert others == ["create events", "create jobs", "patch jobs"]

        end_pods(cluster, "again", 143, disruption="EvictionByEvictionAPI")
        wait_for_attempt(cluster, "again", 3)
        end_pods(cluster, "again", 0)
        cluster.wait_for_state("again", "Succeeded")
        run_says(runs, "again", "FINISHED")
    end = cluster.status("again")
    assert (end["failedAttempts"], end["disruptions"]) == (1, 1)
    assert outcomes(cluster, "again") == [
        ("Failed", "Signal"),
        ("Disrupted", "Evicted"),
        ("Succeeded", None),
    ]
    print(histories)
    assert list(histories.values()) == [[*["SCHEDULED", "RUNNING"] * 3, "FINISHED"]]
    assert len(runs.all()) == 1


def test_the_backoff_limit_ends_it(cluster: Cluster, runs: Runs, operator: OperatorProcess) -> None:
    cluster.apply(job("never", nodes=2, backoffLimit=1))
    wait_for_attempt(cluster, "never", 1)
    end_pods(cluster, "never", 139)
    wait_for_attempt(cluster, "never", 2)
    operator.end()
    operator.start()
    end_pods(cluster, "never", 137)
    cluster.wait_for_state("never", "Failed")
    assert cluster.status("never")["failure"]["reason"] == "BackoffLimitExceeded"
    assert outcomes(cluster, "never") == [("Failed", "Signal"), ("Failed", "Signal")]
    run_says(runs, "never", "FAILED")


def test_a_deadline_stops_the_pods_and_then_the_job_has_failed(
    cluster: Cluster, runs: Runs, mlflow: MlflowServer, operator: OperatorProcess
) -> None:
    with run_histories(mlflow, cluster.namespace) as histories:
        cluster.apply(job("late", activeDeadlineSeconds=10, podAnnotations=SLOW))
        wait_for_attempt(cluster, "late", 1)
        cluster.wait_for_state("late", "Failed")
        assert live_pods(cluster, "late") == []
        run_says(runs, "late", "FAILED")
    assert cluster.status("late")["failure"]["reason"] == "DeadlineExceeded"
    assert list(histories.values()) == [["SCHEDULED", "RUNNING", "FAILED"]]


def test_a_pod_that_finds_no_node_ends_the_job(
    cluster: Cluster, runs: Runs, operator: OperatorProcess
) -> None:
    limits = {"nvidia.com/gpu": 1000}
    cluster.apply(job("nowhere", preRunningDeadlineSeconds=5, resourcesPerNode={"limits": limits}))
    cluster.wait_for_state("nowhere", "Failed")
    failure = cluster.status("nowhere")["failure"]
    assert failure["reason"] == "Unschedulable"
    assert "Insufficient nvidia.com/gpu" in failure["message"]
    run_says(runs, "nowhere", "FAILED")


def test_suspend_and_resume(
    cluster: Cluster, runs: Runs, mlflow: MlflowServer, operator: OperatorProcess
) -> None:
    with run_histories(mlflow, cluster.namespace) as histories:
        cluster.apply(job("pause", nodes=2, podAnnotations=SLOW))
        wait_for_attempt(cluster, "pause", 1)
        cluster.change("pause", suspend=True)
        cluster.wait_for_state("pause", "Suspended")
        assert live_pods(cluster, "pause") == []
        run_says(runs, "pause", "SCHEDULED")
        cluster.change("pause", suspend=False)
        wait_for_attempt(cluster, "pause", 2)
        end_pods(cluster, "pause", 0)
        cluster.wait_for_state("pause", "Succeeded")
        run_says(runs, "pause", "FINISHED")
    assert outcomes(cluster, "pause") == [("Suspended", "Suspended"), ("Succeeded", None)]
    assert list(histories.values()) == [
        ["SCHEDULED", "RUNNING", "SCHEDULED", "RUNNING", "FINISHED"]
    ]


def test_a_job_is_stopped_for_good(
    cluster: Cluster, runs: Runs, mlflow: MlflowServer, operator: OperatorProcess
) -> None:
    with run_histories(mlflow, cluster.namespace) as histories:
        cluster.apply(job("halt", nodes=2, podAnnotations=SLOW, backoffLimit=3))
        wait_for_attempt(cluster, "halt", 1)
        cluster.change("halt", stop=True)
        cluster.wait_for_state("halt", "Stopped")
        assert live_pods(cluster, "halt") == []
        run_says(runs, "halt", "KILLED")
    assert outcomes(cluster, "halt") == [("Stopped", "Stopped")]
    assert list(histories.values()) == [["SCHEDULED", "RUNNING", "KILLED"]]
    stopped = cluster.condition("halt", "Stopped")
    assert stopped is not None
    assert (stopped["status"], stopped["message"]) == ("True", "spec.stop is true")


def test_a_job_without_pods_is_stopped_at_once(
    cluster: Cluster, runs: Runs, operator: OperatorProcess
) -> None:
    cluster.apply(
        job("halt-queued", queueName="gpus"),
        job("halt-suspended", suspend=True),
        job("halt-pending", runtimeRef={"kind": "TrainingRuntime", "name": "not-there"}),
        job("halt-new", stop=True),
    )
    for name, state in (("queued", "Queued"), ("suspended", "Suspended"), ("pending", "Pending")):
        cluster.wait_for_state(f"halt-{name}", state)
        cluster.change(f"halt-{name}", stop=True)
    cluster.wait_for_state("halt-pending", "Stopped")
    for name in ("queued", "suspended", "new"):
        cluster.wait_for_state(f"halt-{name}", "Stopped")
        run_says(runs, f"halt-{name}", "KILLED")
        assert live_pods(cluster, f"halt-{name}") == []


def test_a_queue_admits_the_job(cluster: Cluster, runs: Runs, operator: OperatorProcess) -> None:
    cluster.apply(job("queue", queueName="gpus"))
    cluster.wait_for_state("queue", "Queued")
    run_says(runs, "queue", "SCHEDULED")
    child = cluster.created_job("queue", 1)
    assert child.metadata.labels["kueue.x-k8s.io/queue-name"] == "gpus"
    cluster.batch.patch_namespaced_job("queue-1", cluster.namespace, {"spec": {"suspend": False}})
    wait_for_attempt(cluster, "queue", 1)
    cluster.batch.patch_namespaced_job("queue-1", cluster.namespace, {"spec": {"suspend": True}})
    cluster.wait_for_state("queue", "Queued")
    assert live_pods(cluster, "queue") == []
    run_says(runs, "queue", "SCHEDULED")


def test_an_ended_job_is_cleared_up(
    cluster: Cluster, runs: Runs, operator: OperatorProcess
) -> None:
    cluster.apply(
        job("clean", cleanPodPolicy="All", backoffLimit=1),
        job("short", ttlSecondsAfterFinished=5),
        job("theirs", managedBy="kueue.x-k8s.io/multikueue"),
    )
    wait_for_attempt(cluster, "short", 1)
    end_pods(cluster, "short", 0)
    wait_for_attempt(cluster, "clean", 1)
    end_pods(cluster, "clean", 139)
    wait_for_attempt(cluster, "clean", 2)
    end_pods(cluster, "clean", 0)
    cluster.wait_for_state("clean", "Succeeded")
    wait_for("short is gone", lambda: cluster.get("short") is None, 30)
    wait_for("its pods too", lambda: not pods_left(cluster), 30)
    assert {name: run.info.status for name, [run] in runs.by_job().items()} == {
        "clean": "FINISHED",
        "short": "FINISHED",
    }
    assert "status" not in (cluster.get("theirs") or {})


def pods_left(cluster: Cluster) -> list[Any]:
    jobs = cluster.batch.list_namespaced_job(cluster.namespace).items
    return [*jobs, *cluster.core.list_namespaced_pod(cluster.namespace).items]


def test_all_attempts_go_with_a_deleted_job(
    cluster: Cluster, runs: Runs, operator: OperatorProcess
) -> None:
    cluster.apply(job("gone", backoffLimit=1))
    wait_for_attempt(cluster, "gone", 1)
    end_pods(cluster, "gone", 139)
    wait_for_attempt(cluster, "gone", 2)
    cluster.delete("gone")
    wait_for("it is gone", lambda: cluster.get("gone") is None, 60)
    wait_for("nothing is left", lambda: not pods_left(cluster), 30)
    run_says(runs, "gone", "KILLED")
