"""A token in a file that somebody renews while a script logs, with a real MLflow behind it."""

import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from requests import Request as Outgoing
from trainingjob_agent.login import TokenFileLogin, login_variables

from tests.integration.agent.delivering import history
from tests.integration.agent.executing import ended
from tests.support.faults import Answer, FaultyServer, Request
from tests.support.pod_process import Trainer, wait_until
from tests.support.processes import MlflowServer

SCRIPT = """
import mlflow
with mlflow.start_run() as run:
    for step in range(1, 4):
        mlflow.log_metric("train/loss", 1 / step, step=step)
        print(mlflow.MlflowClient().get_run(run.info.run_id).info.run_id, flush=True)
        input()
"""


class Gate:
    """Stands before MLflow and knows one token, as an OAuth proxy does."""

    def __init__(self) -> None:
        self.token = "first"
        self.refused = threading.Event()

    def __call__(self, request: Request, hand_on: Callable[[], Answer]) -> Answer:
        if request.headers.get("Authorization") == f"Bearer {self.token}":
            return hand_on()
        self.refused.set()
        return Answer(401, b"token expired")


@pytest.fixture
def gate() -> Gate:
    return Gate()


@pytest.fixture
def guarded(gate: Gate, mlflow_server: MlflowServer) -> Iterator[str]:
    with FaultyServer(gate, upstream=mlflow_server.uri) as server:
        yield server.uri


def test_a_script_and_what_runs_beside_it_use_the_token_as_it_is_by_then(
    trainer: Trainer,
    gate: Gate,
    guarded: str,
    mlflow_server: MlflowServer,
    job: str,
    tmp_path: Path,
) -> None:
    """The script's own reads go with its steps, its points and the system metrics beside it."""
    file = tmp_path / "token"
    file.write_text("first\n")
    process = trainer.execute(
        *(sys.executable, "-c", SCRIPT),
        MLFLOW_TRACKING_URI=guarded,
        MLFLOW_TRACKING_TOKEN_FILE=str(file),
        TRAININGJOB_MLFLOW_RUN_URL="https://mlflow.example.com/#/experiments/0/runs/mine",
    )
    assert process.stdin is not None
    assert process.stdout is not None
    assert process.stdout.readline().decode().strip() == job
    gate.refused.clear()
    gate.token = "second"
    assert gate.refused.wait(60), "the system metrics come with a token that has expired"
    file.write_text("second\n")
    for _ in range(2):
        process.stdin.write(b"\n")
        process.stdin.flush()
        assert process.stdout.readline().decode().strip() == job
    process.stdin.write(b"\n")
    process.stdin.flush()
    code, output, errors = ended(process)

    assert code == 0, errors
    page = "the run in MLflow: https://mlflow.example.com/#/experiments/0/runs/mine"
    assert (page in errors, "View run" in output) == (True, False)
    reported = [(point.step, point.value) for point in history(mlflow_server, job)]
    assert reported == [(step, 1 / step) for step in range(1, 4)]


def test_the_trainer_logs_in_by_the_file(
    trainer: Trainer,
    gate: Gate,
    guarded: str,
    mlflow_server: MlflowServer,
    job: str,
    tmp_path: Path,
) -> None:
    file = tmp_path / "token"
    file.write_text(gate.token)
    code, output = trainer.run(
        *("tiny_task:TinyTask", "--epochs", "1"),
        MLFLOW_TRACKING_URI=guarded,
        MLFLOW_TRACKING_TOKEN_FILE=str(file),
        TINY_RECORD=str(tmp_path),
    )
    assert code == 0, output
    wait_until(lambda: "progress/step" in mlflow_server.client.get_run(job).data.metrics)
    assert not gate.refused.is_set()


@pytest.mark.parametrize(
    ("environment", "expected"),
    [
        ({}, {}),
        ({"MLFLOW_TRACKING_TOKEN_FILE": "/t"}, {"MLFLOW_TRACKING_AUTH": "trainingjob"}),
        ({"MLFLOW_TRACKING_TOKEN_FILE": "/t", "MLFLOW_TRACKING_AUTH": "kubernetes"}, {}),
        ({"MLFLOW_TRACKING_TOKEN_FILE": "/t", "MLFLOW_TRACKING_TOKEN": "x"}, {}),
        ({"MLFLOW_TRACKING_TOKEN_FILE": "/t", "MLFLOW_TRACKING_USERNAME": "x"}, {}),
    ],
)
def test_another_login_of_the_users_counts(
    environment: dict[str, str], expected: dict[str, str]
) -> None:
    assert login_variables(environment) == expected


def test_the_token_goes_to_the_jobs_server_only(tmp_path: Path) -> None:
    (tmp_path / "token").write_text("secret\n")
    login = TokenFileLogin(tmp_path / "token", "https://mlflow:5000/prefix")
    sent = {
        url: login(Outgoing("GET", url).prepare()).headers.get("Authorization")
        for url in (
            "https://mlflow:5000/prefix/api/2.0/mlflow/runs/get",
            "https://mlflow:5001/api",
            "http://mlflow:5000/api",
            "https://mlflow.example.com/api",
        )
    }
    assert list(sent.values()) == ["Bearer secret", None, None, None]
