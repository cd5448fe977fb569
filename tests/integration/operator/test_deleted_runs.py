"""Runs that somebody deletes in MLflow while their job lives, and runs whose job is gone."""

import time
from functools import partial
from typing import Any

from mlflow.entities import ViewType

from tests.support.api import Cluster, Runs, manifest
from tests.support.pods import FOREVER, end_pods, wait_for_attempt
from tests.support.processes import OperatorProcess
from tests.support.waiting import wait_for


def job(name: str, **spec: Any) -> dict[str, Any]:
    made = manifest(name, annotations=FOREVER)
    made["spec"] |= spec
    return made


def synced(cluster: Cluster, name: str) -> tuple[str, str]:
    found = cluster.get(name)
    assert found is not None
    conditions = {one["type"]: one for one in found["status"]["conditions"]}
    return conditions["MLflowSynced"]["status"], conditions["MLflowSynced"]["reason"]


def says_deleted(cluster: Cluster, name: str) -> bool:
    return synced(cluster, name) == ("False", "RunDeleted")


def run_id(cluster: Cluster, name: str) -> str:
    found = cluster.get(name)
    assert found is not None
    reported: str = found["status"]["mlflow"]["runId"]
    return reported


def ended(cluster: Cluster, name: str) -> bool:
    return cluster.has_ended(name, "Succeeded")


def test_a_run_is_deleted_while_its_job_runs(
    cluster: Cluster, runs: Runs, operator: OperatorProcess
) -> None:
    names = ("restored", "again", "without")
    cluster.apply(*(job(name, backoffLimit=1) for name in names))
    first = {}
    for name in names:
        wait_for_attempt(cluster, name, 1)
        first[name] = run_id(cluster, name)
        runs.client.delete_run(first[name])
    for name in names:
        wait_for(f"{name} says so", partial(says_deleted, cluster, name), 120)
        assert cluster.state(name) == "Running"

    operator.end()
    operator.start()
    runs.client.restore_run(first["restored"])
    wait_for("it is synced", lambda: synced(cluster, "restored") == ("True", "Confirmed"), 120)

    end_pods(cluster, "again", 139)
    wait_for_attempt(cluster, "again", 2, 120)
    second = runs.client.get_run(run_id(cluster, "again"))
    assert second.data.tags["trainingjob.replaces"] == first["again"]
    [pod] = [one for one in cluster.core.list_namespaced_pod(cluster.namespace).items
             if one.metadata.labels["trainingjob.dev/attempt"] == "2"]  # fmt: skip
    environment = {one.name: one.value for one in pod.spec.containers[0].env}
    assert environment["MLFLOW_RUN_ID"] == second.info.run_id

    for name in names:
        end_pods(cluster, name, 0)
    for name in names:
        wait_for(f"{name} ended and was released", partial(ended, cluster, name), 120)
    info = {name: runs.client.get_run(run_id(cluster, name)).info for name in names}
    assert {name: (one.status, one.lifecycle_stage) for name, one in info.items()} == {
        "restored": ("FINISHED", "active"),
        "again": ("FINISHED", "active"),
        "without": ("RUNNING", "deleted"),
    }


def test_the_experiment_is_deleted_while_its_jobs_run(
    cluster: Cluster, runs: Runs, operator: OperatorProcess
) -> None:
    cluster.apply(job("ends"), job("leaves"))
    for name in ("ends", "leaves"):
        wait_for_attempt(cluster, name, 1)
    experiment = runs.client.get_experiment_by_name(cluster.namespace)
    assert experiment is not None
    runs.client.delete_experiment(experiment.experiment_id)
    for name in ("ends", "leaves"):
        wait_for(f"{name} says so", partial(says_deleted, cluster, name), 120)
    end_pods(cluster, "ends", 0)
    wait_for("it ended", lambda: ended(cluster, "ends"), 120)
    cluster.delete("leaves")
    wait_for("it is gone without waiting for MLflow", lambda: cluster.get("leaves") is None, 120)
    found = runs.client.search_runs([experiment.experiment_id], run_view_type=ViewType.ALL)
    assert len(found) == 2


def test_runs_of_this_cluster_whose_job_is_gone_are_closed(
    cluster: Cluster, runs: Runs, operator: OperatorProcess
) -> None:
    cluster.apply(job("lives"))
    wait_for_attempt(cluster, "lives", 1)
    [living] = runs.by_job()["lives"]
    ours = living.data.tags["trainingjob.cluster"]
    long_ago = int((time.time() - 3600) * 1000)

    def orphan(name: str, owner: str, started: int = long_ago) -> str:
        tags = {
            "trainingjob.uid": "11111111-2222-3333-4444-555555555555",
            "trainingjob.name": name,
            "trainingjob.namespace": cluster.namespace,
            "trainingjob.cluster": owner,
        }
        made = runs.client.create_run(
            living.info.experiment_id, start_time=started, tags=tags, run_name=name
        )
        reported: str = made.info.run_id
        return reported

    gone = orphan("gone", ours)
    theirs = orphan("theirs", "another-cluster")
    young = orphan("young", ours, int(time.time() * 1000) + 600_000)
    operator.end()
    operator.start()

    def status(run: str) -> str:
        reported: str = runs.client.get_run(run).info.status
        return reported

    wait_for("the orphan is closed", lambda: status(gone) == "KILLED", 120)
    assert runs.client.get_run(gone).info.end_time > long_ago
    assert [status(one) for one in (theirs, young, living.info.run_id)] == ["RUNNING"] * 3
    assert operator.metric("trainingjob_operator_orphaned_runs_total") == 1
