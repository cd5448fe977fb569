"""A real MLflow server, and the trainer as its users start it."""

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from mlflow.entities import RunStatus

from tests.support.processes import MlflowServer, free_port
from tests.support.tasks import DIRECTORY
from tests.support.waiting import wait_for


def wait_until(condition: Callable[[], bool], seconds: float = 60) -> None:
    """Wait until the condition holds; fails after the deadline."""
    wait_for(f"{condition}", condition, seconds, poll=0.05)


@pytest.fixture
def mlflow_server(mlflow: MlflowServer) -> MlflowServer:
    """The server that the tests share, under a name that is not the library's."""
    return mlflow


@pytest.fixture
def own_server(mlflow_server: MlflowServer) -> Iterator[MlflowServer]:
    """A server that a test may kill, on the same database; it is not started."""
    server = MlflowServer(mlflow_server.directory)
    yield server
    server.end(signal.SIGKILL)


@pytest.fixture
def run_id(mlflow_server: MlflowServer) -> str:
    return mlflow_server.create_run()


@dataclass
class Trainer:
    """Starts `python -m trainingjob_trainer` with a pod's environment."""

    directory: Path

    @property
    def termination_log(self) -> Path:
        return self.directory / "termination-log"

    def start(self, *arguments: str, **environment: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [sys.executable, "-m", "trainingjob_trainer", "run", *arguments],
            env=self._environment(environment),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def execute(self, *command: str, **environment: str) -> subprocess.Popen[bytes]:
        """Start `trainingjob-exec -- COMMAND`; the script may wait for the end of its input."""
        return subprocess.Popen(
            [sys.executable, "-m", "trainingjob_agent.supervisor", "--", *command],
            env=self._environment(environment),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )

    def _environment(self, environment: dict[str, str]) -> dict[str, str]:
        return {
            **os.environ,
            "PYTHONPATH": str(DIRECTORY),
            "TRAININGJOB_NAME": "digits",
            "TRAININGJOB_TERMINATION_LOG": str(self.termination_log),
            "TRAININGJOB_CHECKPOINT_DIR": str(self.directory),
            "TRAININGJOB_MONITOR_INTERVAL": "1",
            "GLOO_SOCKET_IFNAME": "lo",
            **environment,
        }

    def run(self, *arguments: str, **environment: str) -> tuple[int, str]:
        """Return the exit code and the output."""
        process = self.start(*arguments, **environment)
        output, _ = process.communicate(timeout=300)
        return process.returncode, output


@pytest.fixture
def trainer(tmp_path: Path) -> Trainer:
    return Trainer(tmp_path)


@pytest.fixture
def job(mlflow_server: MlflowServer, monkeypatch: pytest.MonkeyPatch) -> str:
    """The id of a run as it is while a pod of its job still starts; the pod's environment."""
    run_id = mlflow_server.create_run("u-1")
    client = mlflow_server.client
    client.update_run(run_id, RunStatus.to_string(RunStatus.SCHEDULED))
    for variable, value in {
        "MLFLOW_TRACKING_URI": mlflow_server.uri,
        "MLFLOW_EXPERIMENT_ID": "0",
        "MLFLOW_RUN_ID": run_id,
        "TRAININGJOB_MLFLOW_RUN_ID": run_id,
        "PET_NNODES": "1",
        "PET_NPROC_PER_NODE": "1",
        "PET_MASTER_ADDR": "127.0.0.1",
        "PET_MASTER_PORT": str(free_port()),
        "RANK": "0",
        "WORLD_SIZE": "1",
    }.items():
        monkeypatch.setenv(variable, value)
    return run_id
