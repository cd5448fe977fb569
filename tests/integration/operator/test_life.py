"""One job's life on the real control plane, by the operator as a process and a real MLflow."""

import time
from pathlib import Path
from typing import Any

import psutil

from tests.support.api import TERMINAL_STATES, Cluster, Runs, manifest, operator_writes
from tests.support.fixtures import Kwok
from tests.support.processes import MlflowServer, OperatorProcess
from tests.support.waiting import wait_for

FOREVER = {"kwok.trainingjob.dev/run-seconds": "forever"}
# The finalizer, the attempt, its Job, Running, the end, and both finalizers go.
WRITES_OF_A_LIFE = [
    "patch trainingjobs",
    "patch trainingjobs/status",
    "create jobs",
    "patch trainingjobs/status",
    "patch trainingjobs/status",
    "patch jobs",
    "patch trainingjobs",
]


def settled(cluster: Cluster, name: str) -> bool:
    job = cluster.get(name)
    if job is None or job.get("status", {}).get("state") not in TERMINAL_STATES:
        return False
    return not job["metadata"].get("finalizers")


def writes_of_a_success(cluster: Cluster, audit: Path, name: str) -> list[str]:
    offset = audit.stat().st_size
    cluster.apply(manifest(name, annotations={"kwok.trainingjob.dev/run-seconds": "2"}))
    wait_for("the finalizer is gone", lambda: settled(cluster, name), 60)
    return operator_writes(audit, cluster.namespace, offset)


def test_success_costs_seven_writes_and_then_none(
    kwok: Kwok, cluster: Cluster, runs: Runs, operator: OperatorProcess
) -> None:
    audit = kwok.audit_log
    # Where MLflow or a pod takes long, which is so on a busy machine, that is told in a write more.
    costs = (writes_of_a_success(cluster, audit, name) for name in ("one", "two", "three", "four"))
    assert WRITES_OF_A_LIFE in costs

    job = cluster.get("one")
    assert job is not None
    [run] = runs.by_job()["one"]
    assert job["status"]["state"] == "Succeeded"
    assert job["status"]["mlflow"]["runId"] == run.info.run_id
    assert job["status"]["mlflow"]["status"] == run.info.status == "FINISHED"
    assert run.info.start_time < run.info.end_time
    assert cluster.events("one") == []

    size = audit.stat().st_size
    quiet_until = time.monotonic() + 60
    wait_for("a minute has passed", lambda: time.monotonic() > quiet_until, 70)
    assert operator_writes(audit, cluster.namespace, size) == []


def test_failure_tells_its_cause(cluster: Cluster, runs: Runs, operator: OperatorProcess) -> None:
    cluster.apply(
        manifest(
            "oom",
            annotations={
                "kwok.trainingjob.dev/exit-code": "137",
                "kwok.trainingjob.dev/reason": "OOMKilled",
            },
        )
    )
    wait_for("the job failed", lambda: cluster.state("oom") == "Failed", 60)
    job = cluster.get("oom")
    assert job is not None
    failure = job["status"]["failure"]
    assert (failure["reason"], failure["rank"]) == ("OOMKilled", 0)
    assert job["status"]["attempts"][0]["exitCode"] == 137
    told = [("Warning", "OOMKilled")]
    wait_for("its event", lambda: cluster.events("oom") == told, 60)
    [run] = runs.by_job()["oom"]
    assert run.info.status == "FAILED"
    assert run.info.end_time is not None


def test_deletion_while_running_kills_the_run(
    cluster: Cluster, runs: Runs, operator: OperatorProcess
) -> None:
    cluster.apply(manifest("gone", nodes=2, annotations=FOREVER))
    wait_for("it runs", lambda: cluster.state("gone") == "Running", 60)
    [run] = runs.by_job()["gone"]
    assert run.info.status == "RUNNING"

    cluster.delete("gone")
    wait_for("the job is gone", lambda: cluster.get("gone") is None, 60)
    [run] = runs.by_job()["gone"]
    assert run.info.status == "KILLED"
    assert run.info.end_time is not None
    pods = cluster.core.list_namespaced_pod(cluster.namespace).items
    assert pods == []


def test_drift_is_corrected_both_ways(
    cluster: Cluster, runs: Runs, operator: OperatorProcess
) -> None:
    cluster.apply(manifest("drift", annotations={"kwok.trainingjob.dev/run-seconds": "15"}))
    wait_for("it runs", lambda: cluster.state("drift") == "Running", 60)
    [run] = runs.by_job()["drift"]

    runs.client.set_terminated(run.info.run_id, "FINISHED")
    wait_for("RUNNING again", lambda: status(runs, run) == ("RUNNING", None), 60)

    wait_for("it ended", lambda: cluster.state("drift") == "Succeeded", 60)
    runs.client.update_run(run.info.run_id, status="RUNNING")
    wait_for("FINISHED again", lambda: status(runs, run)[0] == "FINISHED", 60)
    assert operator.metric("trainingjob_operator_mlflow_status_corrections_total") == 2


def status(runs: Runs, run: Any) -> tuple[str, int | None]:
    info = runs.client.get_run(run.info.run_id).info
    return info.status, info.end_time or None


def test_memory_and_metrics_of_the_operator(
    cluster: Cluster, mlflow: MlflowServer, operator: OperatorProcess
) -> None:
    cluster.apply(*(manifest(f"m-{number}", annotations=FOREVER) for number in range(200)))
    wait_for("all run", lambda: set(cluster.states().values()) == {"Running"}, 180)
    memory = psutil.Process(operator.pid).memory_info().rss
    print(f"RSS with 200 jobs: {memory / 2**20:.0f} MiB")
    assert memory < 120 * 2**20
    assert operator.metric('trainingjob_operator_trainingjobs{state="Running"}') == 200
    assert operator.metric("trainingjob_operator_errors_total") == 0
    assert operator.metric("trainingjob_operator_mlflow_calls_total") >= 400
