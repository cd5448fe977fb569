"""What the run of a job keeps, read from its MLflow server."""

import os
import re
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from trainingjob.errors import UserError

if TYPE_CHECKING:
    from mlflow import MlflowClient

URI = "MLFLOW_TRACKING_URI"
_DEFAULT_EXPERIMENT = "0"
_OF_THE_SYSTEM = re.compile(r"\[Errno -?\d+] [A-Za-z ]+")
_SHOWN = 300
_SETTINGS = {
    # MLflow's own defaults try a server that is away for four minutes.
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "2",
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "20",
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",
    "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
}


class KeptRun:
    """The metrics and artifacts of one run.

    The server is MLFLOW_TRACKING_URI where that is set: pods may know it by another address than
    this machine.
    """

    def __init__(self, run_id: str, tracking_uri: str | None) -> None:
        self._run_id = run_id
        self._uri = os.environ.get(URI) or tracking_uri or ""

    def metrics(self) -> dict[str, float]:
        """The latest value of each metric.

        Raises:
            UserError: the server does not answer, or refuses.
        """
        with _calls(self._uri) as client:
            return dict(client.get_run(self._run_id).data.metrics)

    def names(self, folder: str) -> list[str]:
        """Paths of the files directly in a folder; none where there is no such folder.

        Raises:
            UserError: as above.
        """
        with _calls(self._uri) as client:
            return [
                one.path for one in client.list_artifacts(self._run_id, folder) if not one.is_dir
            ]

    def text(self, path: str) -> str | None:
        """A text file; None where there is none.

        Raises:
            UserError: as above.
        """
        folder = path.rpartition("/")[0]
        return "\n".join(self.lines(path)) if path in self.names(folder) else None

    def content(self, path: str) -> bytes:
        """A file.

        Raises:
            UserError: as above.
        """
        with tempfile.TemporaryDirectory(prefix="tj-") as directory, _calls(self._uri) as client:
            return Path(client.download_artifacts(self._run_id, path, directory)).read_bytes()

    def put(self, folder: str, name: str, content: bytes) -> str:
        """Upload a file; returns its path among the artifacts.

        Raises:
            UserError: as above.
        """
        with tempfile.TemporaryDirectory(prefix="tj-") as directory, _calls(self._uri) as client:
            file = Path(directory) / name
            file.write_bytes(content)
            client.log_artifact(self._run_id, str(file), folder)
        return f"{folder}/{name}"

    def lines(self, path: str) -> Iterator[str]:
        """The lines of a text file.

        Raises:
            UserError: as above.
        """
        with tempfile.TemporaryDirectory(prefix="tj-") as directory:
            with _calls(self._uri) as client:
                local = Path(client.download_artifacts(self._run_id, path, directory))
            with local.open(errors="replace") as file:
                yield from (line.rstrip("\n") for line in file)


class Server:
    """The runs of a server as a local job writes them: with the rights of who calls it."""

    def __init__(self, uri: str) -> None:
        check_installed()
        self._uri = uri

    def start(self, experiment: str | None, name: str, tags: dict[str, str]) -> tuple[str, str]:
        """Create a run that is RUNNING; returns the ids of its experiment and of itself.

        Raises:
            UserError: the server does not answer, or refuses.
        """
        with _calls(self._uri) as client:
            experiment_id = _experiment_id(client, experiment)
            made = client.create_run(experiment_id, tags=tags, run_name=name)
            return experiment_id, str(made.info.run_id)

    def end(self, run_id: str, status: str, tags: dict[str, str]) -> None:
        """Write how a run has ended.

        Raises:
            UserError: as above.
        """
        with _calls(self._uri) as client:
            for key, value in tags.items():
                client.set_tag(run_id, key, value)
            client.set_terminated(run_id, status)


def check_installed() -> None:
    """Make sure of MLflow's client before anything is begun that needs it.

    Raises:
        UserError: it is not installed here.
    """
    if find_spec("mlflow") is None:
        raise UserError(
            "MLflow's client is not installed here", "pip install 'trainingjob[mlflow]'"
        )


class _SettingsOfCalls:
    """MLflow's client reads its settings from the environment only.

    Ours are there while a call of ours runs and no longer: a notebook's own calls of MLflow, which
    may wait minutes for a busy server, keep theirs. Safe to use from several threads.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._calls = 0
        self._ours: list[str] = []

    def __enter__(self) -> None:
        with self._lock:
            self._calls += 1
            if self._calls == 1:
                self._ours = [name for name in _SETTINGS if name not in os.environ]
                os.environ.update({name: _SETTINGS[name] for name in self._ours})

    def __exit__(self, kind: object, error: object, trace: object) -> None:
        with self._lock:
            self._calls -= 1
            if self._calls == 0:
                for name in self._ours:
                    os.environ.pop(name, None)


_SETTINGS_OF_CALLS = _SettingsOfCalls()


@contextmanager
def _calls(uri: str) -> Iterator["MlflowClient"]:
    """A client for some calls; what it raises, which may be anything, becomes a UserError."""
    check_installed()
    with _SETTINGS_OF_CALLS:
        from mlflow import MlflowClient

        try:
            yield MlflowClient(uri)
        except Exception as error:
            raise UserError(
                f"MLflow at {uri} does not answer as it should: {_cause(error)}",
                f"set {URI} to an address that this machine reaches, such as that of a "
                "kubectl port-forward, and MLFLOW_TRACKING_TOKEN where it asks for a login",
            ) from error


def _experiment_id(client: "MlflowClient", name: str | None) -> str:
    if name is None:
        return _DEFAULT_EXPERIMENT
    found = client.get_experiment_by_name(name)
    return str(found.experiment_id if found else client.create_experiment(name))


def _cause(error: Exception) -> str:
    """What the system says where it is that; MLflow's client puts a page around it."""
    text = " ".join(str(error).split())
    found = _OF_THE_SYSTEM.search(text)
    return found[0] if found else text[:_SHOWN]
