"""One job's life on the real control plane, by the operator as a process and a real MLflow."""

import signal
import time
from pathlib import Path
from typing import Any

import psutil

from tests.support.api import Cluster, Runs, manifest, operator_writes
from tests.support.fixtures import Kwok
from tests.support.processes import MlflowServer, OperatorProcess
from tests.support.waiting import wait_for

FOREVER = {"kwok.trainingjob.dev/run-seconds": "forever"}
# The attempt's Job, Running, the end, and the Job's finalizer goes.
WRITES_OF_A_LIFE = [
    "create jobs",
    "patch trainingjobs/status",
    "patch trainingjobs/status",
    "patch jobs",
]


# MLflow makes a run RUNNING, so that the next news of a quick start is its end.
CALLS_OF_A_LIFE = {"runs/create": 1, "runs/log-batch": 1, "runs/update": 1}
NAMES = ("one", "two", "three", "four")
Cost = tuple[list[str], dict[str, float]]


def mlflow_writes(operator: OperatorProcess) -> dict[str, float]:
    calls = "trainingjob_operator_mlflow_calls_total"
    return {
        endpoint: operator.metric(f'{calls}{{endpoint="{endpoint}",outcome="ok"}}')
        for endpoint in CALLS_OF_A_LIFE
    }


def cost_of_a_success(cluster: Cluster, operator: OperatorProcess, audit: Path, name: str) -> Cost:
    """The writes to the API server, and the calls of MLflow that change something."""
    offset, before = audit.stat().st_size, mlflow_writes(operator)
    cluster.apply(manifest(name, annotations={"kwok.trainingjob.dev/run-seconds": "2"}))
    wait_for("its Job is released", lambda: cluster.has_ended(name), 60)
    after = mlflow_writes(operator)
    writes = operator_writes(audit, cluster.namespace, offset)
    return writes, {endpoint: after[endpoint] - before[endpoint] for endpoint in after}


def test_success_costs_four_writes_and_three_of_mlflow_and_then_none(
    kwok: Kwok, cluster: Cluster, runs: Runs, operator: OperatorProcess
) -> None:
    audit = kwok.audit_log
    # A slow MLflow or pod, as on a busy machine, costs one more write, which reports the wait.
    costs = [cost_of_a_success(cluster, operator, audit, name) for name in NAMES]
    assert (WRITES_OF_A_LIFE, CALLS_OF_A_LIFE) in costs, costs

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


def test_a_failure_names_its_cause(cluster: Cluster, runs: Runs, operator: OperatorProcess) -> None:
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
    reported = [("Warning", "OOMKilled")]
    wait_for("its event", lambda: cluster.events("oom") == reported, 60)
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
    wait_for("its Jobs are gone", lambda: not cluster.batch_jobs("gone"), 60)
    assert cluster.get("gone") is None
    [run] = runs.by_job()["gone"]
    assert run.info.status == "KILLED"
    assert run.info.end_time is not None
    pods = cluster.core.list_namespaced_pod(cluster.namespace).items
    assert pods == []


def test_deletion_while_the_operator_is_away_kills_the_run_when_it_is_back(
    cluster: Cluster, runs: Runs, operator: OperatorProcess
) -> None:
    """The Job is all that is left of it; another one of the name waits for that."""
    cluster.apply(manifest("gone", annotations=FOREVER))
    wait_for("it runs", lambda: cluster.state("gone") == "Running", 60)
    operator.end(signal.SIGKILL)
    cluster.delete("gone")
    wait_for("it is gone", lambda: cluster.get("gone") is None, 60)
    cluster.apply(manifest("gone", annotations=FOREVER))
    [first] = runs.by_job()["gone"]
    operator.start()
    wait_for("its run is KILLED", lambda: status(runs, first)[0] == "KILLED", 60)
    assert runs.client.get_run(first.info.run_id).data.tags["trainingjob.outcome"] == "Deleted"
    wait_for("the next one runs", lambda: cluster.state("gone") == "Running", 60)
    assert status(runs, first)[0] == "KILLED"
    assert len(runs.by_job()["gone"]) == 2


def test_a_job_that_is_deleted_before_it_has_a_pod_leaves_no_run_open(
    cluster: Cluster, runs: Runs, operator: OperatorProcess
) -> None:
    held = manifest("held")
    held["spec"]["suspend"] = True
    cluster.apply(held)
    wait_for("it has a run", lambda: runs.by_job().get("held"), 60)
    cluster.delete("held")
    wait_for("it is KILLED", lambda: status(runs, runs.by_job()["held"][0])[0] == "KILLED", 60)


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
    running = 'trainingjob_operator_trainingjobs{state="Running"}'
    # What an earlier test has left may go only now.
    wait_for("all are counted", lambda: operator.metric(running) == 200, 60)
    assert operator.metric("trainingjob_operator_errors_total") == 0
    assert operator.metric("trainingjob_operator_mlflow_calls_total") >= 200
