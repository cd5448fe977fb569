"""What the API server does not take, and metrics that no status can hold: reported, never stuck."""

from functools import partial
from typing import Any

from tests.support.api import Cluster, Runs, manifest
from tests.support.pods import FOREVER, end_pods, wait_for_attempt
from tests.support.processes import MlflowServer, OperatorProcess
from tests.support.waiting import wait_for

QUOTA: dict[str, Any] = {
    "metadata": {"name": "none"},
    "spec": {"hard": {"count/jobs.batch": "0"}},
}


def job(name: str, **spec: Any) -> dict[str, Any]:
    made = manifest(name, annotations=FOREVER)
    made["spec"] |= spec
    return made


def failure(cluster: Cluster, name: str) -> dict[str, Any]:
    shown: dict[str, Any] = cluster.status(name).get("failure") or {}
    return shown


def wait_for_failure(cluster: Cluster, name: str, reason: str) -> str:
    """Wait until a job reports it; its message."""

    def shown() -> str | None:
        found = failure(cluster, name)
        return found["message"] if found.get("reason") == reason else None

    return wait_for(f"{name} reports {reason}", shown, 120)


def has_state(cluster: Cluster, name: str, state: str) -> bool:
    return cluster.state(name) == state


def runs_of(runs: Runs, *names: str) -> dict[str, str]:
    found = runs.by_job()
    return {name: run.info.status for name in names for run in found[name]}


def test_objects_that_are_refused(cluster: Cluster, runs: Runs, operator: OperatorProcess) -> None:
    service = {"metadata": {"name": "taken"}, "spec": {"clusterIP": "None", "ports": []}}
    cluster.core.create_namespaced_service(cluster.namespace, service)
    mounts = [{"name": "data", "mountPath": "/data", "subPath": "../up"}]
    cluster.apply(
        job("taken", numNodes=2),
        job("invalid", volumes=[{"name": "data", "emptyDir": {}}], volumeMounts=mounts),
        job("unknown-class", priorityClassName="none-of-these"),
    )

    message = wait_for_failure(cluster, "taken", "NameConflict")
    assert message.startswith("Service taken exists and does not belong to this TrainingJob")
    message = wait_for_failure(cluster, "invalid", "InvalidSpec")
    assert message.startswith("the API server refuses Job invalid-1: ")
    assert "volumeMounts.subPath: Invalid value" in message
    wait_for("it ended", partial(cluster.has_ended, "invalid", "Failed"), 60)
    assert cluster.state("taken") == "Starting", "the Service may go"
    shown = {"taken": "SCHEDULED", "invalid": "FAILED"}
    wait_for("so does MLflow", lambda: runs_of(runs, "taken", "invalid") == shown, 60)
    service = cluster.core.read_namespaced_service("taken", cluster.namespace)
    assert "trainingjob.dev/uid" not in (service.metadata.labels or {})

    message = wait_for_failure(cluster, "unknown-class", "FailedCreate")
    assert message.startswith("Job unknown-class-1: Error creating: pods ")
    assert "no PriorityClass with name none-of-these was found" in message
    assert cluster.events("unknown-class") == [("Warning", "FailedCreate")]


def test_a_quota_that_is_lifted(cluster: Cluster, runs: Runs, operator: OperatorProcess) -> None:
    cluster.core.create_namespaced_resource_quota(cluster.namespace, QUOTA)

    def in_force() -> bool:
        found = cluster.core.read_namespaced_resource_quota("none", cluster.namespace)
        return bool(found.status.hard)

    wait_for("the quota is in force", in_force, 60)
    cluster.apply(job("waits"))
    message = wait_for_failure(cluster, "waits", "FailedCreate")
    assert "exceeded quota: none" in message
    shown = {"waits": "SCHEDULED"}
    wait_for("so does MLflow", lambda: runs_of(runs, "waits") == shown, 60)

    cluster.core.delete_namespaced_resource_quota("none", cluster.namespace)
    wait_for_attempt(cluster, "waits", 1, 120)
    assert failure(cluster, "waits") == {}
    assert cluster.events("waits") == [("Warning", "FailedCreate")]
    end_pods(cluster, "waits", 0)
    wait_for("it ended", partial(cluster.has_ended, "waits", "Succeeded"), 60)


def test_a_training_that_diverges(cluster: Cluster, runs: Runs, operator: OperatorProcess) -> None:
    cluster.apply(job("diverges"))
    wait_for_attempt(cluster, "diverges", 1)
    run_id = cluster.status("diverges")["mlflow"]["runId"]
    for name, value in {
        "progress/percentage": 50.0,
        "progress/estimated_remaining_seconds": float("inf"),
        "train/loss": float("nan"),
        "train/accuracy": 0.1,
    }.items():
        runs.client.log_metric(run_id, name, value)

    def progress() -> dict[str, Any] | None:
        return cluster.status("diverges").get("progress")

    found = wait_for("the progress is written", progress, 120)
    assert found.pop("lastUpdateTime")
    assert found == {
        "percentage": 50,
        "completed": "50%",
        "metrics": {"train/accuracy": 0.1},
    }
    end_pods(cluster, "diverges", 0)
    wait_for("it ended", partial(cluster.has_ended, "diverges", "Succeeded"), 60)
    assert runs_of(runs, "diverges") == {"diverges": "FINISHED"}


def test_a_time_to_live_waits_for_mlflow(
    cluster: Cluster, runs: Runs, operator: OperatorProcess, mlflow: MlflowServer
) -> None:
    cluster.apply(job("short", ttlSecondsAfterFinished=0))
    wait_for_attempt(cluster, "short", 1)
    mlflow.end()
    end_pods(cluster, "short", 0)

    def says_unavailable() -> bool:
        conditions = {one["type"]: one for one in cluster.status("short")["conditions"]}
        reason: str = conditions["MLflowSynced"]["reason"]
        return reason == "MLflowUnavailable"

    wait_for("it ended", partial(has_state, cluster, "short", "Succeeded"), 60)
    wait_for("MLflow is reported to be away", says_unavailable, 120)
    assert cluster.state("short") == "Succeeded"
    mlflow.start()
    wait_for("it is gone", lambda: cluster.get("short") is None, 120)
    assert runs_of(runs, "short") == {"short": "FINISHED"}
