"""A job shows its real end: after what happened unseen, and for runs that it left open."""

from typing import Any

import pytest

from tests.support.api import Cluster, Manifest
from tests.support.node import Installed, operator_away, script_job, wait_for_end
from tests.support.training import outcomes
from tests.support.waiting import wait_for


def short_job(name: str) -> Manifest:
    """It ends well, long after the operator has gone away."""
    job = script_job(name, "exit_3.py")
    job["spec"] |= {"command": ["tini", "--", "sleep", "30"], "backoffLimit": 1}
    return job


def complete(cluster: Cluster, name: str) -> bool:
    job = cluster.batch.read_namespaced_job(name, cluster.namespace)
    return any(one.type == "Complete" for one in job.status.conditions or [])


@pytest.mark.alone
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("propagation", ["Background", "Foreground", "Orphan"])
def test_a_job_that_completed_and_was_removed_unseen_is_not_trained_again(
    installed: Installed, cluster: Cluster, propagation: str
) -> None:
    cluster.apply(short_job("unseen"))
    wait_for("it runs", lambda: cluster.state("unseen") == "Running", 120)
    with operator_away(cluster):
        wait_for("the Job is complete", lambda: complete(cluster, "unseen-1"), 120)
        cluster.batch.delete_namespaced_job(
            "unseen-1", cluster.namespace, propagation_policy=propagation
        )
    status = wait_for_end(cluster, "unseen", 180)

    assert (status["state"], status["attempt"]) == ("Succeeded", 1)
    assert outcomes(status) == [("Succeeded", None, 0)]
    assert installed.mlflow.get_run(status["mlflow"]["runId"]).info.status == "FINISHED"


def test_no_nested_run_outlives_the_job(installed: Installed, cluster: Cluster) -> None:
    cluster.apply(script_job("search", "search.py"))
    status = wait_for_end(cluster, "search", 240)
    assert (status["state"], status["failure"]["reason"]) == ("Failed", "Signal")
    run = installed.mlflow.get_run(status["mlflow"]["runId"])
    assert run.info.status == "FAILED"

    def trials() -> list[Any]:
        return list(
            installed.mlflow.search_runs(
                [run.info.experiment_id],
                f"tags.`mlflow.parentRunId` = '{run.info.run_id}'",
                order_by=["attributes.start_time ASC"],
            )
        )

    wait_for("no trial runs", lambda: all(one.info.end_time for one in trials()), 60)
    assert [(one.info.run_name, one.info.status) for one in trials()] == [
        ("trial 0", "FINISHED"),
        ("trial 1", "FINISHED"),
        ("trial 2", "FAILED"),
    ]
