"""Two pods that torchrun joins are one training with one run."""

import pytest

from tests.support.api import Cluster
from tests.support.node import (
    Installed,
    assert_sampled_throughout,
    example,
    log,
    pods,
    script_job,
    wait_for_end,
)


def runs_of(installed: Installed, cluster: Cluster, name: str) -> list[str]:
    """Ids of all runs that the job has."""
    job = cluster.get(name)
    assert job is not None
    experiment = job["status"]["mlflow"]["experimentId"]
    uid = job["metadata"]["uid"]
    found = installed.mlflow.search_runs([experiment], f"tags.`trainingjob.uid` = '{uid}'")
    return [run.info.run_id for run in found]


@pytest.mark.timeout(400)
def test_all_reduce_of_a_plain_script(installed: Installed, cluster: Cluster) -> None:
    cluster.apply(script_job("reduce", "all_reduce.py", nodes=2, runner="torchrun"))
    status = wait_for_end(cluster, "reduce", 300)
    logs = {pod.metadata.name: log(cluster, pod.metadata.name) for pod in pods(cluster, "reduce")}
    assert status["state"] == "Succeeded", logs
    [run_id] = runs_of(installed, cluster, "reduce")
    run = installed.mlflow.get_run(run_id)
    assert run.data.metrics == {"sum_of_ranks": 3, "world_size": 2}
    assert run.info.status == "FINISHED"
    experiment = installed.mlflow.search_runs([run.info.experiment_id])
    assert [one.info.run_id for one in experiment] == [run_id]


@pytest.mark.timeout(600)
def test_system_metrics_of_each_node(installed: Installed, cluster: Cluster) -> None:
    cluster.apply(example("mnist-two-nodes.yaml"))
    status = wait_for_end(cluster, "mnist-two-nodes", 500)
    assert status["state"] == "Succeeded"
    [run_id] = runs_of(installed, cluster, "mnist-two-nodes")
    interval = example("mnist-two-nodes.yaml")["spec"]["monitoring"]["intervalSeconds"]
    for rank in (0, 1):
        name = f"system/{rank}/cpu_utilization_percentage"
        assert_sampled_throughout(installed.mlflow, run_id, name, interval)
    assert installed.mlflow.get_run(run_id).data.metrics["val/accuracy"] >= 0.95
