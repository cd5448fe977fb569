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
from dataclasses import dataclass
from pathlib import Path

from trainingjob.adapters import mlflow_server, tracking
from trainingjob.core import local, wire
from trainingjob.core.local import LocalRun
from trainingjob.errors import UserError

STORE = ".trainingjob"
"""Directory for runs where no server is set, below the working directory."""
_SIGNALLED = 128


@dataclass(frozen=True, slots=True)
class Ended:
    """A command that has ended: its exit code, the failure's parts by name, and its run."""

    exit_code: int
    failure: dict[str, str]
    run_id: str
    tracking_uri: str


def run(
    name: str,
    command: tuple[str, ...],
    workdir: Path,
    *,
    experiment: str | None,
    env: tuple[tuple[str, str], ...],
    code: dict[str, str],
) -> Ended:
    """Run a command to its end; its output goes where that of this process goes.

    Raises:
        UserError: the agent or MLflow is not installed here, or the server does not answer.
    """
    # Before MLflow's client gets settings for its use here: those of the training stay its own.
    outer = dict(os.environ)
    program = _agent()
    with _server(workdir) as uri, tempfile.TemporaryDirectory(prefix="tj-") as directory:
        server, uid = tracking.Server(uri), str(uuid.uuid4())
        experiment_id, run_id = server.start(experiment, name, local.run_tags(name, uid, code))
        here = LocalRun(name, uid, uri, experiment_id, run_id)
        termination_log = Path(directory) / "termination-log"
        environment = {**outer, **dict(env), **local.environment(here, str(termination_log))}
        exit_code = _to_its_end((program, "--", *command), workdir, environment)
        message = termination_log.read_text() if termination_log.exists() else ""
        end = local.ending(exit_code, message)
        server.end(run_id, end.status, local.end_tags(end, exit_code))
        return Ended(exit_code, end.failure, run_id, uri)


def _to_its_end(command: tuple[str, ...], workdir: Path, environment: dict[str, str]) -> int:
    """Exit code of a command, 128 + n after signal n; Ctrl-C is left to the command."""
    # Not ignored: that the command would inherit.
    before = signal.signal(signal.SIGINT, lambda *_: None)
    try:
        code = subprocess.Popen(command, cwd=workdir, env=environment).wait()
    finally:
        signal.signal(signal.SIGINT, before)
    return code if code >= 0 else _SIGNALLED - code


@contextmanager
def _server(workdir: Path) -> Iterator[str]:
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
