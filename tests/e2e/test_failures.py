"""A plain script with fluent mlflow that fails: the run says so, whatever the script wrote."""

import pytest

from tests.support.api import Cluster
from tests.support.node import Installed, log, pods, script_job, wait_for_end
from tests.support.waiting import wait_for

FAILURES = [
    pytest.param("exit_3.py", "NonZeroExitCode", "code 3", 3, id="exits-3"),
    pytest.param("sigkill.py", "Signal", "SIGKILL", 137, id="kills-itself"),
    pytest.param("out_of_memory.py", "OOMKilled", "limits.memory", 137, id="out-of-memory"),
]


@pytest.mark.parametrize(("script", "reason", "message", "code"), FAILURES)
def test_a_failed_script_is_a_failed_run(
    installed: Installed, cluster: Cluster, script: str, reason: str, message: str, code: int
) -> None:
    cluster.apply(script_job("fails", script, memory="900Mi"))
    status = wait_for_end(cluster, "fails", 240)
    [pod] = pods(cluster, "fails")

    assert status["state"] == "Failed", log(cluster, pod.metadata.name)
    assert status["failure"]["reason"] == reason
    assert message in status["failure"]["message"]
    assert (status["failure"]["node"], status["failure"]["rank"]) == (pod.spec.node_name, 0)
    assert status["attempts"][0]["exitCode"] == code

    run = installed.mlflow.get_run(status["mlflow"]["runId"])
    assert run.data.metrics["train/loss"] == 1.0
    assert run.info.status == "FAILED"
    assert run.info.end_time > run.info.start_time
    experiment = installed.mlflow.search_runs([run.info.experiment_id])
    assert [one.info.run_id for one in experiment] == [run.info.run_id]


def test_deleted_while_it_runs(installed: Installed, cluster: Cluster) -> None:
    cluster.apply(script_job("gone", "wait_for_ever.py"))
    wait_for("it runs", lambda: cluster.state("gone") == "Running", 120)
    job = cluster.get("gone")
    assert job is not None
    run_id = job["status"]["mlflow"]["runId"]
    wait_for("it logged", lambda: installed.mlflow.get_run(run_id).data.metrics, 60)

    cluster.delete("gone")
    wait_for("its Jobs are gone", lambda: not cluster.batch_jobs("gone"), 90)
    assert pods(cluster, "gone") == []
    run = installed.mlflow.get_run(run_id)
    assert run.info.status == "KILLED"
    assert run.info.end_time > run.info.start_time
