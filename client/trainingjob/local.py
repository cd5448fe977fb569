"""Runs a command on this machine as a job: under the agent, with an MLflow run of its own."""

import os
import shutil
import signal
import subprocess
import sys
import tempfile
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO

from trainingjob.adapters import mlflow_server, tracking
from trainingjob.core import local, wire
from trainingjob.core.local import Identity
from trainingjob.errors import UserError

STORE = ".trainingjob"
"""Directory for runs where no server is set, below the working directory."""
_SIGNALLED = 128
_MODULES, _PYTHONPATH = "modules", "PYTHONPATH"


@dataclass(frozen=True, slots=True)
class Started:
    """What is started here: a command in a directory, and the tags of its code for the run."""

    name: str
    command: tuple[str, ...]
    workdir: Path
    experiment: str | None
    env: tuple[tuple[str, str], ...]
    code: dict[str, str]
    modules: dict[str, str] = field(default_factory=dict)
    """Source of modules that the command can import, by file name."""


@dataclass(frozen=True, slots=True)
class Ended:
    """A command that has ended: its exit code, the failure's parts by name, and its run."""

    exit_code: int
    failure: dict[str, str]
    run_id: str
    tracking_uri: str


def run(started: Started) -> Ended:
    """Run a command to its end; its output goes where that of this process goes.

    Raises:
        UserError: the agent or MLflow is not installed here, or the server does not answer.
    """
    with serving(started.workdir) as uri, Process(started, uri) as process:
        process.start()
        # Ctrl-C is left to the command; ignored the command would inherit.
        before = signal.signal(signal.SIGINT, lambda *_: None)
        try:
            return process.wait()
        finally:
            signal.signal(signal.SIGINT, before)


class Process:
    """A command under the agent, with an MLflow run."""

    def __init__(self, started: Started, tracking_uri: str) -> None:
        """Prepare.

        Raises:
            UserError: the agent or MLflow is not installed here.
        """
        # Before MLflow's client gets settings for its use here: the training's stay its own.
        self._environment = {**os.environ, **dict(started.env)}
        self._command = (_agent(), "--", *started.command)
        self._started, self._uri = started, tracking_uri
        self._server = tracking.Server(tracking_uri)
        self._directory = tempfile.TemporaryDirectory(prefix="tj-")
        self._termination_log = Path(self._directory.name) / "termination-log"
        self._process: subprocess.Popen[bytes] | None = None
        self.run_id = ""
        """The run, once it has started."""

    def __enter__(self) -> "Process":
        return self

    def __exit__(self, *_: object) -> None:
        self._directory.cleanup()

    def start(self, output: BinaryIO | None = None) -> None:
        """Create the run and start the command; its output may go to a file.

        Raises:
            UserError: the server does not answer.
        """
        started, uid = self._started, str(uuid.uuid4())
        tags = local.run_tags(started.name, uid, started.code)
        experiment_id, self.run_id = self._server.start(started.experiment, started.name, tags)
        here = Identity(started.name, uid, self._uri, experiment_id, self.run_id)
        contract = local.environment(here, str(self._termination_log))
        contract |= self._modules()
        self._process = subprocess.Popen(
            self._command,
            cwd=started.workdir,
            env={**self._environment, **contract},
            stdout=output,
            stderr=None if output is None else subprocess.STDOUT,
        )

    def _modules(self) -> dict[str, str]:
        """Write the modules; return the variable by which Python finds them."""
        if not self._started.modules:
            return {}
        folder = Path(self._directory.name) / _MODULES
        folder.mkdir()
        for name, text in self._started.modules.items():
            (folder / name).write_text(text)
        before = self._environment.get(_PYTHONPATH)
        return {_PYTHONPATH: os.pathsep.join([str(folder), *([before] if before else [])])}

    def wait(self) -> Ended:
        """Wait for the end, and write it to the run; exit code 128 + n after signal n.

        Raises:
            UserError: the server does not answer.
        """
        if self._process is None:
            raise RuntimeError("the command has not been started")
        code = self._process.wait()
        exit_code = code if code >= 0 else _SIGNALLED - code
        log = self._termination_log
        end = local.ending(exit_code, log.read_text() if log.exists() else "")
        self._server.end(self.run_id, end.status, local.end_tags(end, exit_code))
        return Ended(exit_code, end.failure, self.run_id, self._uri)

    def terminate(self) -> None:
        """Ask the command to end, by SIGTERM."""
        if self._process is not None:
            self._process.terminate()


@contextmanager
def serving(workdir: Path) -> Iterator[str]:
    """The address of MLFLOW_TRACKING_URI, or of a server of our own for as long as it is needed.

    Raises:
        UserError: the variable names no server, or MLflow is not installed here.
    """
    uri = os.environ.get(tracking.URI)
    if not uri:
        with mlflow_server.serving((workdir / STORE).resolve()) as own:
            yield own
    elif uri.startswith(("http://", "https://")):
        yield uri
    else:
        raise UserError(
            f"{tracking.URI} is {uri}, which is no server",
            f"unset it, then runs go to {STORE}/, or name an http(s) server",
        )


def _agent() -> str:
    beside = Path(sys.executable).with_name(wire.EXEC)
    found = str(beside) if beside.exists() else shutil.which(wire.EXEC)
    if found is None:
        raise UserError(f"{wire.EXEC} is not installed here", "pip install ./trainer_image/agent")
    return found
