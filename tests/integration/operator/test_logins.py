"""A login that expires while a job runs, and the page of the run that it writes."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from tests.support.api import Cluster, Runs, manifest
from tests.support.faults import Answer, FaultyServer, Request
from tests.support.fixtures import Kwok
from tests.support.pods import FOREVER, end_pods
from tests.support.processes import HASTY, MlflowServer, OperatorProcess
from tests.support.waiting import wait_for


@dataclass
class Gate:
    """What stands before MLflow and knows one token, as an OAuth proxy does; and its file."""

    file: Path
    server: FaultyServer = field(init=False)
    token: str = "first"
    refused: int = 0

    def __call__(self, request: Request, hand_on: Callable[[], Answer]) -> Answer:
        if request.headers.get("Authorization") == f"Bearer {self.token}":
            return hand_on()
        self.refused += 1
        return Answer(401, b"token expired")

    def renew(self) -> None:
        """Put the token into the file as the kubelet does, by another file in its place."""
        fresh = self.file.with_name("..fresh")
        fresh.write_text(self.token)
        fresh.rename(self.file)


@pytest.fixture
def gate(mlflow: MlflowServer, tmp_path: Path) -> Iterator[Gate]:
    directory = tmp_path / "login"
    directory.mkdir()
    made = Gate(directory / "MLFLOW_TRACKING_TOKEN")
    made.renew()
    with FaultyServer(made, upstream=mlflow.uri) as made.server:
        yield made


@pytest.fixture
def operator(kwok: Kwok, cluster: Cluster, gate: Gate, tmp_path: Path) -> Iterator[OperatorProcess]:
    settings = {**HASTY, "MLFLOW_LOGIN_DIRECTORY": str(gate.file.parent)}
    replica = OperatorProcess(tmp_path, kwok.operator_login, gate.server.uri, settings=settings)
    replica.start()
    yield replica
    cluster.delete_all()
    replica.end()


def synced(cluster: Cluster, name: str) -> str | None:
    found = cluster.condition(name, "MLflowSynced")
    return found["status"] if found else None


def test_a_token_that_expires_during_a_job_is_read_again(
    cluster: Cluster, runs: Runs, gate: Gate, operator: OperatorProcess
) -> None:
    cluster.apply(manifest("long", annotations=FOREVER))
    wait_for("it runs", lambda: cluster.state("long") == "Running", 120)
    wait_for("MLflow knows", lambda: synced(cluster, "long") == "True", 60)
    assert gate.refused == 0

    gate.token = "second"
    wait_for("the operator reports it", lambda: synced(cluster, "long") == "False", 60)
    gate.renew()
    wait_for("it is over", lambda: synced(cluster, "long") == "True", 60)

    gate.token = "third"
    gate.renew()
    end_pods(cluster, "long", 0)
    wait_for("it ended", lambda: cluster.state("long") == "Succeeded", 60)
    [run] = runs.by_job()["long"]
    assert run.info.status == "FINISHED"
    log = operator.log.read_text()
    assert log.count("has changed") == 2
    assert [token for token in ("second", "third") if f'"{token}"' in log] == []


def test_the_page_of_the_run_shows_who_and_from_what(
    cluster: Cluster, runs: Runs, operator: OperatorProcess
) -> None:
    """As in shared cases: the columns User, Source and Description of MLflow's UI."""
    made = manifest("page")
    made["metadata"]["annotations"] = {"trainingjob.dev/user": "ann"}
    made["spec"]["command"] = ["python", "train.py"]
    made["spec"]["mlflow"] = {"tags": {"mlflow.note.content": "Baseline with **cosine** schedule"}}
    cluster.apply(made)
    wait_for("it ended", lambda: cluster.state("page") == "Succeeded", 120)
    [run] = runs.by_job()["page"]
    shown = {
        name: value
        for name, value in run.data.tags.items()
        if name.startswith("mlflow.") or name in ("trainingjob.image", "trainingjob.command")
    }
    assert shown == {
        "mlflow.runName": "page",
        "mlflow.user": "ann",
        "mlflow.source.name": "python train.py",
        "mlflow.source.type": "JOB",
        "mlflow.note.content": "Baseline with **cosine** schedule",
        "trainingjob.image": "fake:1",
        "trainingjob.command": "python train.py",
    }
