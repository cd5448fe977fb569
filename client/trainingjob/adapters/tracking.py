"""What the run of a job keeps, read from its MLflow server."""

import os
import re
import tempfile
from collections.abc import Iterator
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
_CLIENT_DEFAULTS = {
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
        client = _client_of(self._uri)
        with _Explained(self._uri):
            return dict(client.get_run(self._run_id).data.metrics)

    def names(self, folder: str) -> list[str]:
        """Paths of the files directly in a folder; none where there is no such folder.

        Raises:
            UserError: as above.
        """
        client = _client_of(self._uri)
        with _Explained(self._uri):
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
        client = _client_of(self._uri)
        with tempfile.TemporaryDirectory(prefix="tj-") as directory, _Explained(self._uri):
            return Path(client.download_artifacts(self._run_id, path, directory)).read_bytes()

    def put(self, folder: str, name: str, content: bytes) -> str:
        """Upload a file; returns its path among the artifacts.

        Raises:
            UserError: as above.
        """
        client = _client_of(self._uri)
        with tempfile.TemporaryDirectory(prefix="tj-") as directory, _Explained(self._uri):
            file = Path(directory) / name
            file.write_bytes(content)
            client.log_artifact(self._run_id, str(file), folder)
        return f"{folder}/{name}"

    def lines(self, path: str) -> Iterator[str]:
        """The lines of a text file.

        Raises:
            UserError: as above.
        """
        client = _client_of(self._uri)
        with tempfile.TemporaryDirectory(prefix="tj-") as directory:
            with _Explained(self._uri):
                local = Path(client.download_artifacts(self._run_id, path, directory))
            with local.open(errors="replace") as file:
                yield from (line.rstrip("\n") for line in file)


class Server:
    """The runs of a server as a local job writes them: with the rights of who calls it."""

    def __init__(self, uri: str) -> None:
        self._uri = uri
        self._client = _client_of(uri)

    def start(self, experiment: str | None, name: str, tags: dict[str, str]) -> tuple[str, str]:
        """Create a run that is RUNNING; returns the ids of its experiment and of itself.

        Raises:
            UserError: the server does not answer, or refuses.
        """
        with _Explained(self._uri):
            experiment_id = self._experiment(experiment)
            made = self._client.create_run(experiment_id, tags=tags, run_name=name)
            return experiment_id, str(made.info.run_id)

    def end(self, run_id: str, status: str, tags: dict[str, str]) -> None:
        """Write how a run has ended.

        Raises:
            UserError: as above.
        """
        with _Explained(self._uri):
            for key, value in tags.items():
                self._client.set_tag(run_id, key, value)
            self._client.set_terminated(run_id, status)

    def _experiment(self, name: str | None) -> str:
        if name is None:
            return _DEFAULT_EXPERIMENT
        found = self._client.get_experiment_by_name(name)
        return str(found.experiment_id if found else self._client.create_experiment(name))


def check_installed() -> None:
    """Make sure of MLflow's client before anything is begun that needs it.

    Raises:
        UserError: it is not installed here.
    """
    if find_spec("mlflow") is None:
        raise UserError(
            "MLflow's client is not installed here", "pip install 'trainingjob[mlflow]'"
        )


def _client_of(uri: str) -> "MlflowClient":
    for variable, value in _CLIENT_DEFAULTS.items():
        os.environ.setdefault(variable, value)
    check_installed()
    from mlflow import MlflowClient

    return MlflowClient(uri)


class _Explained:
    """Turns what MLflow's client raises, which may be anything, into UserError."""

    def __init__(self, uri: str) -> None:
        self._uri = uri

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if isinstance(error, Exception):
            raise UserError(
                f"MLflow at {self._uri} does not answer as it should: {_cause(error)}",
                f"set {URI} to an address that this machine reaches, such as that of a "
                "kubectl port-forward, and MLFLOW_TRACKING_TOKEN where it asks for a login",
            ) from error


def _cause(error: Exception) -> str:
    """What the system says where it is that; MLflow's client puts a page around it."""
    text = " ".join(str(error).split())
    found = _OF_THE_SYSTEM.search(text)
    return found[0] if found else text[:_SHOWN]
