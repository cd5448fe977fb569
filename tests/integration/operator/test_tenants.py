"""Tenants of one MLflow server with workspaces: each namespace has its own, and no other."""

import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from mlflow.utils.workspace_context import WorkspaceContext

from tests.support.api import Cluster, manifest
from tests.support.fixtures import Kwok
from tests.support.pods import FOREVER, end_pods
from tests.support.processes import MlflowServer, OperatorProcess
from tests.support.waiting import wait_for

FOREIGN = "other-team"


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[MlflowServer]:
    server = MlflowServer(tmp_path_factory.mktemp("shared"), "--enable-workspaces")
    server.start()
    server.client.create_workspace(FOREIGN)
    yield server
    server.end()


@pytest.fixture
def operator(
    kwok: Kwok, cluster: Cluster, shared: MlflowServer, tmp_path: Path
) -> Iterator[OperatorProcess]:
    """The operator with a workspace for each namespace, and experiments below its name."""
    shared.client.create_workspace(cluster.namespace)
    settings = {
        "MLFLOW_POLL_SECONDS": "2",
        "MLFLOW_UI_URL": "https://mlflow.example.com",
        "MLFLOW_EXPERIMENT_PATTERN": "{namespace}/*",
        "MLFLOW_WORKSPACES": json.dumps({"*": "{namespace}"}),
    }
    replica = OperatorProcess(tmp_path, kwok.operator_login, shared.uri, settings=settings)
    replica.start()
    yield replica
    cluster.delete_all()
    replica.end()


def job(name: str, **mlflow: Any) -> dict[str, Any]:
    made = manifest(name, annotations=FOREVER)
    made["spec"]["mlflow"] = mlflow
    return made


def runs_in(server: MlflowServer, workspace: str) -> dict[str, Any]:
    """The runs of a workspace by name, with their experiment's."""
    with WorkspaceContext(workspace):
        names = {one.experiment_id: one.name for one in server.client.search_experiments()}
        found = server.client.search_runs(list(names))
    return {one.info.run_name: (names[one.info.experiment_id], one.info.status) for one in found}


def test_a_run_lives_in_the_workspace_of_its_namespace(
    cluster: Cluster, shared: MlflowServer, operator: OperatorProcess
) -> None:
    cluster.apply(job("mine"))
    wait_for("it runs", lambda: cluster.state("mine") == "Running", 120)
    mlflow = cluster.status("mine")["mlflow"]
    page = f"https://mlflow.example.com/#/experiments/{mlflow['experimentId']}"
    assert mlflow["workspace"] == cluster.namespace
    assert mlflow["url"] == f"{page}/runs/{mlflow['runId']}?workspace={cluster.namespace}"
    [pod] = cluster.core.list_namespaced_pod(cluster.namespace).items
    environment = {one.name: one.value for one in pod.spec.containers[0].env}
    assert environment["MLFLOW_WORKSPACE"] == cluster.namespace
    experiment = f"{cluster.namespace}/default"
    assert runs_in(shared, cluster.namespace) == {"mine": (experiment, "RUNNING")}

    with WorkspaceContext(cluster.namespace):
        shared.client.set_terminated(mlflow["runId"], "FAILED")
    running = {"mine": (experiment, "RUNNING")}
    wait_for("set right", lambda: runs_in(shared, cluster.namespace) == running, 60)
    end_pods(cluster, "mine", 0)
    finished = {"mine": (experiment, "FINISHED")}
    wait_for("its end", lambda: runs_in(shared, cluster.namespace) == finished, 60)
    assert runs_in(shared, FOREIGN) == runs_in(shared, "default") == {}


def test_a_run_without_a_job_is_closed_in_any_workspace(
    cluster: Cluster, shared: MlflowServer, operator: OperatorProcess
) -> None:
    """One that an outage left open: its job is gone, and an operator that starts looks for it."""
    operator.end()
    tags = {
        "trainingjob.uid": "of-a-job-that-is-gone",
        "trainingjob.name": "lost",
        "trainingjob.namespace": cluster.namespace,
        "trainingjob.cluster": cluster.core.read_namespace("kube-system").metadata.uid,
    }
    with WorkspaceContext(cluster.namespace):
        experiment = shared.client.create_experiment(f"{cluster.namespace}/default")
        shared.client.create_run(experiment, start_time=10**12, tags=tags, run_name="lost")
    operator.start()
    killed = {"lost": (f"{cluster.namespace}/default", "KILLED")}
    wait_for("it is closed", lambda: runs_in(shared, cluster.namespace) == killed, 60)


@pytest.mark.parametrize(
    ("mlflow", "reason", "reported"),
    [
        pytest.param(
            {"experiment": f"{FOREIGN}/results"},
            "ExperimentNotAllowed",
            ["spec.mlflow.experiment", "{namespace}/*", "or leave the field out"],
            id="experiment",
        ),
        pytest.param(
            {"workspace": FOREIGN},
            "WorkspaceNotAllowed",
            ["spec.mlflow.workspace", "mlflow.workspaces", "leave the field out"],
            id="workspace",
        ),
    ],
)
def test_what_is_another_teams_is_refused_with_a_condition(
    cluster: Cluster,
    shared: MlflowServer,
    operator: OperatorProcess,
    mlflow: dict[str, str],
    reason: str,
    reported: list[str],
) -> None:
    before = runs_in(shared, FOREIGN), shared.requests("runs/create")
    cluster.apply(job("astray", **mlflow))
    began = time.monotonic()
    wait_for("it has failed", lambda: cluster.state("astray") == "Failed", 60)
    print(f"refused within {time.monotonic() - began:.2f} s of its creation")
    failed = cluster.condition("astray", "Failed")
    assert failed is not None
    assert (failed["status"], failed["reason"]) == ("True", reason)
    assert [part for part in reported if part not in failed["message"]] == []
    events = [("Warning", reason)]
    wait_for("its event", lambda: cluster.events("astray") == events, 60)
    assert cluster.core.list_namespaced_pod(cluster.namespace).items == []
    assert (runs_in(shared, FOREIGN), shared.requests("runs/create")) == before
