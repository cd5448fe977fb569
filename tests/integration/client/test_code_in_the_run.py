"""Code in the artifacts of a run: where a ConfigMap is too small, and when the job is gone."""

import gzip
import io
import json
import os
import tarfile
from pathlib import Path

from tests.integration.client.conftest import Tj
from tests.support.api import Cluster, Runs
from tests.support.processes import MlflowServer, OperatorProcess, free_port
from tests.support.waiting import wait_for

RUN = ("run", "--name", "train", "--image", "fake:1")


def config_maps(cluster: Cluster, job: str) -> list[dict[str, str]]:
    """The texts of the ConfigMaps of a job."""
    listed = cluster.core.list_namespaced_config_map(
        cluster.namespace, label_selector=f"trainingjob.dev/name={job}"
    )
    return [one.data or {} for one in listed.items]


def names_in(archive: Path) -> list[str]:
    with tarfile.open(fileobj=io.BytesIO(gzip.decompress(archive.read_bytes()))) as tar:
        return tar.getnames()


def test_much_code_is_in_the_run_before_the_job_starts(
    tj: Tj, cluster: Cluster, runs: Runs, mlflow: MlflowServer, operator: OperatorProcess
) -> None:
    (tj.directory / "weights.pt").write_bytes(os.urandom(3 * 2**20))
    done = tj(*RUN, "--", "python", "train.py", environment={"MLFLOW_TRACKING_URI": mlflow.uri})
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.splitlines()[0] == (
        "tj: code: 2 files, 3.0 MiB (3.0 MiB packed), through MLflow"
    )
    [run] = runs.by_job()["train"]
    [texts] = config_maps(cluster, "train")
    place = {"run": run.info.run_id, "path": "code/code.tar.gz"}
    assert json.loads(texts["code.json"]) == place
    archive = Path(mlflow.client.download_artifacts(run.info.run_id, place["path"]))
    assert names_in(archive) == ["train.py", "weights.pt"]
    job = cluster.get("train")
    assert job is not None
    assert job["spec"]["suspend"] is False

    # What the agent of a real pod keeps.
    for name, text in texts.items():
        mlflow.client.log_text(run.info.run_id, text, f"code/{name}")
    cluster.delete("train")
    wait_for("the job is gone", lambda: cluster.get("train") is None, 60)
    again = tj(
        *("rerun", run.info.run_id, "--name", "again"),
        environment={"MLFLOW_TRACKING_URI": mlflow.uri},
    )
    assert (again.returncode, again.stderr) == (0, "")
    [texts] = config_maps(cluster, "again")
    assert json.loads(texts["code.json"]) == place
    [other] = runs.by_job()["again"]
    assert other.data.tags["code.repeats"] == "train"


def test_an_mlflow_that_does_not_answer_here(
    tj: Tj, cluster: Cluster, operator: OperatorProcess
) -> None:
    """Nothing stays behind."""
    (tj.directory / "weights.pt").write_bytes(os.urandom(3 * 2**20))
    address = f"http://127.0.0.1:{free_port()}"
    away = {"MLFLOW_TRACKING_URI": address, "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "0"}
    done = tj(*RUN, "--", "python", "train.py", environment=away)
    assert done.returncode == 1
    assert done.stderr.splitlines() == [
        f"error: MLflow at {address} does not answer as it should: [Errno 111] Connection refused",
        (
            "→ set MLFLOW_TRACKING_URI to an address that this machine reaches, such as that of a "
            "kubectl port-forward, and MLFLOW_TRACKING_TOKEN where it asks for a login"
        ),
    ]
    wait_for("the job is gone", lambda: cluster.get("train") is None, 60)


def test_a_run_that_keeps_no_code(tj: Tj, mlflow: MlflowServer) -> None:
    run_id = mlflow.create_run()
    done = tj("rerun", run_id, environment={"MLFLOW_TRACKING_URI": mlflow.uri})
    assert (done.returncode, done.stderr.splitlines()) == (
        1,
        [
            (
                f"error: the run {run_id} does not keep its job, and no job of namespace "
                f"{tj.namespace} has it"
            ),
            "→ runs keep what tj run has started in images with trainingjob-exec; name another one",
        ],
    )
