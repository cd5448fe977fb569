"""Many jobs at once, with the operator killed and MLflow away in the middle."""

import signal
import time
from collections import Counter
from functools import partial
from typing import Any

import pytest

from tests.support.api import Cluster, Runs, recorded_ends
from tests.support.many import EXPECTED_RUN, at_least_ended, many
from tests.support.processes import MlflowServer, OperatorProcess
from tests.support.waiting import wait_for


def ended(cluster: Cluster, count: int) -> bool:
    states = Counter(cluster.states().values())
    return states["Succeeded"] + states["Failed"] == count


def assert_true_ends(cluster: Cluster, runs: Runs, count: int) -> None:
    """Each job ended as its pods did, with exactly one run, which says the same."""
    states = cluster.states()
    assert Counter(states.values()) == {"Succeeded": count * 9 // 10, "Failed": count // 10}
    wait_for("all runs are terminal", lambda: all_right(runs, states), 60)
    assert {name: len(found) for name, found in runs.by_job().items()} == dict.fromkeys(states, 1)
    attempts = cluster.batch.list_namespaced_job(cluster.namespace).items
    assert len(attempts) == count


def all_right(runs: Runs, states: dict[str, str | None]) -> bool:
    found = runs.by_job()
    return all(
        [run.info.status for run in found.get(name, [])] == [EXPECTED_RUN[state or ""]]
        for name, state in states.items()
    )


def test_200_jobs_end_right(
    cluster: Cluster, runs: Runs, mlflow: MlflowServer, operator: OperatorProcess
) -> None:
    started = time.monotonic()
    ends = recorded_ends(mlflow.database, cluster.namespace)
    with cluster.terminal_times() as jobs, ends as recorded:
        cluster.apply(*many(200))
        wait_for("all jobs ended", lambda: ended(cluster, 200), 300)
        wait_for("all runs ended", lambda: len(recorded) == 200, 60)
        wait_for("all ends seen", lambda: len(jobs) == 200, 30)
    assert_true_ends(cluster, runs, 200)
    behind = sorted(recorded[name] - jobs[name] for name in jobs)
    print(
        f"200 jobs in {time.monotonic() - started:.1f} s; MLflow behind the CR: "
        f"median {behind[100]:.2f} s, p99 {behind[197]:.2f} s, most {behind[-1]:.2f} s"
    )
    print(operator.calls())


def test_200_jobs_end_right_though_the_operator_is_killed_three_times(
    cluster: Cluster, runs: Runs, operator: OperatorProcess
) -> None:
    cluster.apply(*many(200))
    for done in (20, 80, 140):
        wait_for(f"{done} ended", partial(at_least_ended, cluster, done), 300)
        operator.end(signal.SIGKILL)
        operator.start()
    wait_for("all jobs ended", lambda: ended(cluster, 200), 300)
    assert_true_ends(cluster, runs, 200)


@pytest.mark.timeout(900)
def test_mlflow_away_for_a_minute_holds_no_job_up(
    cluster: Cluster, runs: Runs, mlflow: MlflowServer, operator: OperatorProcess
) -> None:
    jobs = many(20)
    cluster.apply(*jobs[:10])
    wait_for("the first run", lambda: "Running" in cluster.states().values(), 60)
    mlflow.end(signal.SIGKILL)
    away_since = time.monotonic()
    cluster.apply(*jobs[10:])
    wait_for("all jobs ended without MLflow", lambda: ended(cluster, 20), 55)
    reported = [synced(job) for job in cluster.jobs()]
    assert Counter(reported) == {("False", "MLflowUnavailable"): 20}

    wait_for("a minute has passed", lambda: time.monotonic() - away_since > 60, 70)
    mlflow.start()
    assert_true_ends(cluster, runs, 20)
    wait_for(
        "all synced",
        lambda: {synced(job) for job in cluster.jobs()} == {("True", "Confirmed")},
        60,
    )


def synced(job: dict[str, Any]) -> tuple[str, str]:
    conditions = {one["type"]: one for one in job["status"]["conditions"]}
    return conditions["MLflowSynced"]["status"], conditions["MLflowSynced"]["reason"]
