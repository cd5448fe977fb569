"""What the run of a job keeps, read from its MLflow server."""

import os
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from trainingjob.errors import UserError

if TYPE_CHECKING:
    from mlflow import MlflowClient

_URI = "MLFLOW_TRACKING_URI"
_CLIENT_DEFAULTS = {
    # MLflow's own defaults try a server that is away for four minutes.
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "2",
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "20",
    "MLFLOW_DISABLE_TELEMETRY": "true",
}


class RunFiles:
    """The artifacts of one run.

    The server is MLFLOW_TRACKING_URI where that is set: pods may know it by another address than
    this machine.
    """

    def __init__(self, run_id: str, tracking_uri: str | None) -> None:
        self._run_id = run_id
        self._uri = os.environ.get(_URI) or tracking_uri or ""
        self._found: MlflowClient | None = None

    def names(self, folder: str) -> list[str]:
        """Paths of the files directly in a folder; none where there is no such folder.

        Raises:
            UserError: the server does not answer, or refuses.
        """
        client = self._client()
        with _Explained(self._uri):
            return [
                one.path for one in client.list_artifacts(self._run_id, folder) if not one.is_dir
            ]

    def lines(self, path: str) -> Iterator[str]:
        """The lines of a text file.

        Raises:
            UserError: as above.
        """
        client = self._client()
        with tempfile.TemporaryDirectory(prefix="tj-") as directory:
            with _Explained(self._uri):
                local = Path(client.download_artifacts(self._run_id, path, directory))
            with local.open(errors="replace") as file:
                yield from (line.rstrip("\n") for line in file)

    def _client(self) -> "MlflowClient":
        if self._found is None:
            for variable, value in _CLIENT_DEFAULTS.items():
                os.environ.setdefault(variable, value)
            try:
                from mlflow import MlflowClient
            except ImportError as error:
                raise UserError(
                    "what the run keeps is read by MLflow's client, which is not installed",
                    "pip install 'trainingjob[mlflow]'",
                ) from error
            self._found = MlflowClient(self._uri)
        return self._found


class _Explained:
    """Turns what MLflow's client raises, which may be anything, into UserError."""

    def __init__(self, uri: str) -> None:
        self._uri = uri

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if isinstance(error, Exception):
            cause = " ".join(str(error).split())[:300]
            raise UserError(
                f"MLflow at {self._uri} does not give what the run keeps: {cause}",
                f"set {_URI} to an address that this machine reaches, such as that of a "
                "kubectl port-forward, and MLFLOW_TRACKING_TOKEN where it asks for a login",
            ) from error
