"""A real MLflow server, and the trainer as its users start it."""

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from mlflow import MlflowClient

from tests.support.nvml import driver, nvml_script
from tests.support.processes import MlflowProcess
from tests.support.waiting import wait_for

__all__ = ["driver", "nvml_script"]


class MlflowServer(MlflowProcess):
    """A real server that a trainer logs to."""

    @property
    def client(self) -> MlflowClient:
        return MlflowClient(self.uri)

    def create_run(self, uid: str | None = None) -> str:
        """Create a run as the operator does, in the default experiment."""
        tags = {"trainingjob.uid": uid} if uid else {}
        return str(self.client.create_run("0", tags=tags).info.run_id)

    def requests(self, endpoint: str) -> int:
        """Return how many requests the server has logged whose address has this in it."""
        return self.log.read_text().count(endpoint)


def wait_until(condition: Callable[[], bool], seconds: float = 30) -> None:
    """Wait until the condition holds; fails after the deadline."""
    wait_for(f"{condition}", condition, seconds, poll=0.05)


@pytest.fixture(scope="session")
def mlflow_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[MlflowServer]:
    server = MlflowServer(tmp_path_factory.mktemp("mlflow"))
    server.start()
    yield server
    server.end()


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
            [sys.executable, "-m", "trainingjob_trainer.execute", "--", *command],
            env=self._environment(environment),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )

    def _environment(self, environment: dict[str, str]) -> dict[str, str]:
        return {
            **os.environ,
            "PYTHONPATH": str(Path(__file__).parent),
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
