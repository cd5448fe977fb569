"""An MLflow server of this machine, for as long as it is needed."""

import os
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from urllib.error import URLError

from trainingjob.errors import UserError

# MLflow's own names: `mlflow ui` in the same directory shows what is there.
DATABASE, ARTIFACTS = "mlflow.db", "mlartifacts"
_LOG = "mlflow-server.log"
# Its jobs are for evaluations in the UI: seven processes more, which poll.
_LEAN = {"MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"}
_START_SECONDS = 120.0
_END_SECONDS = 15.0
_POLL_SECONDS = 0.2


@contextmanager
def serving(directory: Path) -> Iterator[str]:
    """Serve the store of a directory, which is made when missing; gives the server's address.

    Raises:
        UserError: MLflow is not installed here, or does not start.
    """
    if find_spec("mlflow") is None or find_spec("sqlalchemy") is None:
        raise UserError(
            "MLflow is not installed here, and no server is set",
            "pip install mlflow, or set MLFLOW_TRACKING_URI to a server",
        )
    port = _free_port()
    uri = f"http://127.0.0.1:{port}"
    directory.mkdir(parents=True, exist_ok=True)
    # Not for git, wherever the directory is.
    (directory / ".gitignore").write_text("*\n")
    with (directory / _LOG).open("ab") as log:
        server = subprocess.Popen(
            (
                *(sys.executable, "-m", "mlflow", "server"),
                f"--backend-store-uri=sqlite:///{directory / DATABASE}",
                f"--artifacts-destination={directory / ARTIFACTS}",
                *("--host=127.0.0.1", f"--port={port}", "--workers=1"),
            ),
            env={**os.environ, **_LEAN},
            stdout=log,
            stderr=subprocess.STDOUT,
            # Ctrl-C is for the training; what it logs at its end still has to arrive.
            start_new_session=True,
        )
    try:
        _wait_for(server, uri, directory / _LOG)
        yield uri
    finally:
        server.terminate()
        try:
            server.wait(_END_SECONDS)
        except subprocess.TimeoutExpired:
            server.kill()


def _wait_for(server: "subprocess.Popen[bytes]", uri: str, log: Path) -> None:
    deadline = time.monotonic() + _START_SECONDS
    while not _answers(uri):
        if server.poll() is not None or time.monotonic() > deadline:
            raise UserError("MLflow's server does not start here", f"{log} says why")
        time.sleep(_POLL_SECONDS)


def _answers(uri: str) -> bool:
    try:
        with urllib.request.urlopen(f"{uri}/health", timeout=2) as reply:  # noqa: S310 - our own loopback
            return bool(reply.status == 200)
    except (URLError, OSError):
        return False


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
