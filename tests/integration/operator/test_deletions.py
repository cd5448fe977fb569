"""A deletion that waits says what for, and goes on by itself."""

from tests.support.api import Cluster, Runs, manifest
from tests.support.pods import FOREVER
from tests.support.processes import MlflowServer, OperatorProcess
from tests.support.waiting import wait_for


def test_a_deletion_that_waits_for_mlflow_says_so(
    cluster: Cluster, runs: Runs, mlflow: MlflowServer, operator: OperatorProcess
) -> None:
    cluster.apply(manifest("waits", annotations=FOREVER))
    wait_for("it runs", lambda: cluster.state("waits") == "Running", 60)
    [run] = runs.by_job()["waits"]
    wait_for(
        "the run, too", lambda: runs.client.get_run(run.info.run_id).info.status == "RUNNING", 60
    )
    mlflow.end()
    cluster.delete("waits")
    reported = ("Warning", "DeletionWaitsForMLflow")
    wait_for("its event", lambda: reported in cluster.events("waits"), 60)
    mlflow.start()
    wait_for("it is gone", lambda: cluster.get("waits") is None, 150)
    wait_for(
        "the run is killed",
        lambda: runs.client.get_run(run.info.run_id).info.status == "KILLED",
        60,
    )
    assert cluster.events("waits").count(reported) == 1
