"""The MLflow server and the operator as processes of a test, with their logs in files."""

import os
import signal
import socket
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from coverage import Coverage
from mlflow import MlflowClient

from tests.support.service_account import OperatorLogin
from tests.support.waiting import wait_for


def take_interrupts() -> None:
    """For `preexec_fn`: a child of a shell's background process would ignore SIGINT as well."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def measured() -> dict[str, str]:
    """Variables that add a process to the coverage of the tests, where that is measured."""
    if Coverage.current() is None:
        return {}
    root = Path(__file__).parents[2]
    return {
        "COVERAGE_PROCESS_START": str(root / "pyproject.toml"),
        "COVERAGE_FILE": str(root / "out" / "coverage" / "data"),
    }


def free_port() -> int:
    """A port of the loopback that nobody listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def answers(url: str) -> bool:
    """Whether a GET is answered with 200."""
    try:
        with urllib.request.urlopen(url, timeout=2) as reply:  # noqa: S310 - our own loopback
            return bool(reply.status == 200)
    except (urllib.error.URLError, OSError):
        return False


@dataclass
class Process:
    """A child in a process group of its own, so that it ends with all that it started."""

    command: list[str]
    environment: dict[str, str]
    log: Path
    process: "subprocess.Popen[bytes] | None" = field(default=None)

    def start(self) -> None:
        """Start it; output is appended to the log."""
        with self.log.open("ab") as output:
            self.process = subprocess.Popen(
                self.command,
                env={**os.environ, **self.environment},
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def end(self, number: int = signal.SIGTERM, seconds: float = 30) -> None:
        """Send a signal to the group and wait for its end."""
        if self.process is None or self.process.poll() is not None:
            return
        os.killpg(self.process.pid, number)
        try:
            self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()
            raise

    @property
    def running(self) -> bool:
        """Whether it was started and has not ended."""
        return self.process is not None and self.process.poll() is None

    @property
    def pid(self) -> int:
        """Its process id."""
        assert self.process is not None
        return self.process.pid


class MlflowServer(Process):
    """A real MLflow server on SQLite; a restart keeps address and data.

    `options` are further ones of `mlflow server`.
    """

    def __init__(self, directory: Path, *options: str) -> None:
        self.port = free_port()
        self.uri = f"http://127.0.0.1:{self.port}"
        self.directory = directory
        self.database = directory / "mlflow.db"
        super().__init__(
            command=[
                sys.executable,
                "-m",
                "mlflow",
                "server",
                f"--backend-store-uri=sqlite:///{self.database}",
                f"--artifacts-destination={directory}/artifacts",
                "--host=127.0.0.1",
                f"--port={self.port}",
                "--workers=1",
                *options,
            ],
            environment={
                "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
                "MLFLOW_DISABLE_TELEMETRY": "true",
            },
            log=directory / "mlflow.log",
        )

    def start(self) -> None:
        """Start it and wait until it answers."""
        super().start()
        wait_for("MLflow answers", lambda: answers(f"{self.uri}/health"), 300)

    @property
    def client(self) -> MlflowClient:
        """A client of it."""
        return MlflowClient(self.uri)

    def create_run(self, uid: str | None = None, name: str | None = None) -> str:
        """Create a run as the operator does, in the default experiment and namespace."""
        tags = {"trainingjob.uid": uid} if uid else {}
        if name:
            tags |= {"trainingjob.name": name, "trainingjob.namespace": "default"}
        return str(self.client.create_run("0", tags=tags).info.run_id)

    def requests(self, endpoint: str) -> int:
        """Return how many requests the server has logged whose address has this in it."""
        return self.log.read_text().count(endpoint)


HASTY = {"MLFLOW_POLL_SECONDS": "2"}
"""Settings that let a test see sooner what the operator does from time to time."""


class OperatorProcess(Process):
    """One replica of the operator outside the cluster, with the rights of one in it."""

    def __init__(
        self,
        directory: Path,
        login: OperatorLogin,
        mlflow_uri: str,
        name: str = "a",
        settings: Mapping[str, str] = HASTY,
    ) -> None:
        self.port = free_port()
        self.identity = name
        settings = {
            "NAMESPACE": "trainingjob-system",
            **settings,
            "IDENTITY": name,
            "MLFLOW_TRACKING_URI": mlflow_uri,
            "HTTP_HOST": "127.0.0.1",
            "HTTP_PORT": str(self.port),
        }
        super().__init__(
            command=[sys.executable, "-m", "trainingjob_operator"],
            environment={
                "KUBECONFIG": str(login),
                **measured(),
                **{f"TRAININGJOB_OPERATOR_{key}": value for key, value in settings.items()},
            },
            log=directory / f"operator-{name}.log",
        )

    def start(self) -> None:
        """Start it and wait until its caches are filled."""
        super().start()
        wait_for("the operator is ready", lambda: answers(self.url("/readyz")), 120)

    def url(self, path: str) -> str:
        """An address of its web server."""
        return f"http://127.0.0.1:{self.port}{path}"

    def metric(self, name: str) -> float:
        """The sum of one metric over its labels."""
        with urllib.request.urlopen(self.url("/metrics"), timeout=5) as reply:  # noqa: S310 - our own loopback
            lines = reply.read().decode().splitlines()
        values = [line.rsplit(" ", 1)[1] for line in lines if _is(line, name)]
        return sum(float(value) for value in values)

    def calls(self) -> str:
        """Number and mean time of the MLflow calls by endpoint, for people."""
        prefix = "trainingjob_operator_mlflow_call_duration_seconds"
        with urllib.request.urlopen(self.url("/metrics"), timeout=5) as reply:  # noqa: S310 - our own loopback
            lines = [line for line in reply.read().decode().splitlines() if line.startswith(prefix)]
        told = [line.removeprefix(prefix) for line in lines if "_bucket" not in line]
        return "\n".join(line for line in told if not line.startswith("_created"))


def _is(line: str, name: str) -> bool:
    return line.startswith((f"{name}{{", f"{name} "))
