"""A real MLflow that holds what no trainer of ours writes, while many jobs run and end.

What the REST API refuses, an older version, another client or a person may have left in the
database: it is written there directly.
"""

import sqlite3
import uuid
from collections.abc import Iterable
from contextlib import closing
from functools import partial
from typing import Any

from kubernetes.client import CoordinationV1Api

from tests.support.api import TERMINAL_RUNS, Cluster, Runs, manifest
from tests.support.pods import FOREVER, end_pods
from tests.support.processes import MlflowServer, OperatorProcess
from tests.support.waiting import wait_for

JOBS = 50
LATER_THAN_ANY_CLOCK = 10**17
HOSTILE_METRICS = [
    ("loss", 0.5, 1_700_000_000_000_000_000, 1),
    ("progress/step", 3.0, 1_700_000_000_000_000_000, 2**62),
    ("progress/percentage", 1.7e308, -5, 3),
    ("train/'\"`\n\N{GRINNING FACE}", 0.0, 2**63 - 1, 2**63 - 1),
    ("", 1.0, 0, -(2**63)),
]


def job(name: str) -> dict[str, Any]:
    made = manifest(name, annotations=FOREVER)
    made["spec"]["stallPolicy"] = {"timeoutSeconds": 600, "action": "Event"}
    return made


def write(mlflow: MlflowServer, statement: str, rows: Iterable[tuple[Any, ...]]) -> None:
    with closing(sqlite3.connect(mlflow.database, timeout=60)) as connection:
        connection.executemany(statement, rows)
        connection.commit()


def log_hostile_metrics(mlflow: MlflowServer, run_id: str) -> None:
    rows = [(*metric, 0, run_id) for metric in HOSTILE_METRICS] + [("val/nan", 0, 1, 1, 1, run_id)]
    columns = "(key, value, timestamp, step, is_nan, run_uuid) VALUES (?, ?, ?, ?, ?, ?)"
    write(mlflow, f"INSERT INTO latest_metrics {columns}", rows)
    write(mlflow, f"INSERT INTO metrics {columns}", rows)


def plant(mlflow: MlflowServer, runs: Runs, experiment: str, tags: dict[str, str]) -> str:
    """A run with tags of ours and a start that no datetime can hold."""
    run_id: str = runs.client.create_run(experiment, tags=tags).info.run_id
    start = "UPDATE runs SET start_time = ? WHERE run_uuid = ?"
    write(mlflow, start, [(LATER_THAN_ANY_CLOCK, run_id)])
    return run_id


def plant_run(mlflow: MlflowServer, experiment: str, uid: str) -> str:
    """An old run with the uid of a job, while the server is away."""
    run_id = uuid.uuid4().hex
    row = (run_id, "old", "somebody", "RUNNING", 1, "active", experiment)
    run = (
        "INSERT INTO runs (run_uuid, name, user_id, status, start_time, lifecycle_stage, "
        "experiment_id) VALUES (?, ?, ?, ?, ?, ?, ?)"
    )
    write(mlflow, run, [row])
    tag = ("trainingjob.uid", uid, run_id)
    write(mlflow, "INSERT INTO tags (key, value, run_uuid) VALUES (?, ?, ?)", [tag])
    return run_id


def own_runs(cluster: Cluster) -> dict[str, str]:
    return {one["metadata"]["name"]: one["status"]["mlflow"]["runId"] for one in cluster.jobs()}


def all_in(cluster: Cluster, *states: str) -> bool:
    found = list(cluster.states().values())
    return len(found) == JOBS and set(found) <= set(states)


def status_of(runs: Runs, run_id: str) -> str:
    reported: str = runs.client.get_run(run_id).info.status
    return reported


def leadership(cluster: Cluster, operator: OperatorProcess) -> tuple[float, int]:
    """Whether it leads, and how often the lease went to another one."""
    lease = CoordinationV1Api(cluster.core.api_client).read_namespaced_lease(
        "trainingjob-operator", "trainingjob-system"
    )
    return operator.metric("trainingjob_operator_leader"), lease.spec.lease_transitions


def test_hostile_runs_end_no_leader_and_change_no_end(
    cluster: Cluster, runs: Runs, mlflow: MlflowServer, operator: OperatorProcess
) -> None:
    cluster.apply(*(job(f"job-{number}") for number in range(JOBS)))
    wait_for("all run", partial(all_in, cluster, "Running"), 180)
    ours = own_runs(cluster)
    experiment = runs.client.get_run(ours["job-0"]).info.experiment_id
    tags = dict(runs.client.get_run(ours["job-0"]).data.tags)
    # A sweep at the leader's start meets these.
    operator.end()
    planted = [
        plant(mlflow, runs, experiment, {k: v for k, v in tags.items() if k.startswith(prefix)})
        for prefix in ("trainingjob.", "trainingjob.uid", "trainingjob.cluster")
    ]
    for name in list(ours)[::3]:
        log_hostile_metrics(mlflow, ours[name])
    opened = {
        name: runs.client.create_run(
            experiment, tags={"mlflow.parentRunId": ours[name]}
        ).info.run_id
        for name in ("job-1", "job-2")
    }
    operator.start()
    wait_for("it leads", lambda: operator.metric("trainingjob_operator_leader") == 1, 60)
    before = leadership(cluster, operator)
    polls = mlflow.requests("runs/search")
    wait_for("polls", lambda: mlflow.requests("runs/search") > polls + 5, 120)

    for number in range(JOBS):
        end_pods(cluster, f"job-{number}", number % 2)
    wait_for("all ended", partial(all_in, cluster, "Succeeded", "Failed"), 180)

    wanted = {f"job-{n}": "FAILED" if n % 2 else "FINISHED" for n in range(JOBS)}
    closed = {"job-1": "FAILED", "job-2": "FINISHED"}

    def statuses(of: dict[str, str]) -> dict[str, str]:
        return {name: status_of(runs, run_id) for name, run_id in of.items()}

    wait_for("the runs ended", lambda: statuses(ours) == wanted, 60)
    wait_for("what the pods opened has ended", lambda: statuses(opened) == closed, 60)
    assert [status_of(runs, run_id) for run_id in planted] == ["RUNNING"] * 3
    assert leadership(cluster, operator) == before
    assert operator.metric("trainingjob_operator_errors_total") == 0


def test_a_foreign_run_with_the_jobs_uid_is_reported_and_left_alone(
    cluster: Cluster, runs: Runs, mlflow: MlflowServer, operator: OperatorProcess
) -> None:
    """It is planted while MLflow is away, so that the job has no run yet when it is looked for."""
    experiment = runs.client.create_experiment(cluster.namespace)
    mlflow.end()
    cluster.apply(job("mine"))
    wait_for("it runs without", lambda: cluster.state("mine") == "Running", 120)
    found = cluster.get("mine")
    assert found is not None
    foreign = plant_run(mlflow, experiment, found["metadata"]["uid"])
    mlflow.start()

    wait_for("a run of its own", lambda: "runId" in cluster.status("mine").get("mlflow", {}), 120)
    own = cluster.status("mine")["mlflow"]["runId"]
    end_pods(cluster, "mine", 0)
    wait_for("it ended", lambda: cluster.state("mine") == "Succeeded", 120)
    wait_for("its run, too", lambda: status_of(runs, own) in TERMINAL_RUNS, 60)
    conditions = {one["type"]: one for one in cluster.status("mine")["conditions"]}
    assert foreign in conditions["RunConflict"]["message"]
    assert own != foreign
    assert status_of(runs, foreign) == "RUNNING"
