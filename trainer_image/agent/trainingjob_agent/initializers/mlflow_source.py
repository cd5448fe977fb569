"""Artifacts of a run, or a model, from the job's MLflow server."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from trainingjob_agent.delivery.connection import http_status, import_mlflow
from trainingjob_agent.delivery.outage import is_outage
from trainingjob_agent.initializers.errors import (
    DataAccessDeniedError,
    DataError,
    DataNotFoundError,
    DataUnavailableError,
)
from trainingjob_agent.initializers.progress import Progress

_LOOK_SECONDS = 2.0
_NO_SUCH = ("not found", "does not exist", "No such artifact", "No such run")


class MlflowSource:
    """`models:/NAME/VERSION`, `models:/NAME@ALIAS` or `runs:/RUN/PATH`."""

    def __init__(self, uri: str) -> None:
        self._uri = uri

    def fetch(self, place: Path, progress: Progress) -> None:
        """Download all of it, with one try.

        Raises:
            DataError: not all of it is there.
            OSError: the directory cannot be written.
        """
        import_mlflow()
        from mlflow.artifacts import download_artifacts
        from mlflow.store.artifact.artifact_repository_registry import get_artifact_repository

        with _explained():
            repository = get_artifact_repository(self._uri)
            progress.total = sum(_sizes(repository, None))
            with _measured(place, progress):
                download_artifacts(artifact_uri=self._uri, dst_path=str(place))


def _sizes(repository: Any, path: str | None) -> Iterator[int]:
    for one in repository.list_artifacts(path):
        if one.is_dir:
            yield from _sizes(repository, one.path)
        else:
            yield one.file_size or 0


@contextmanager
def _measured(place: Path, progress: Progress) -> Iterator[None]:
    """Count what is in the directory: MLflow tells nobody how far a download is."""
    ended = threading.Event()

    def measure() -> None:
        while not ended.wait(_LOOK_SECONDS):
            progress.done = sum(_size(file) for file in place.rglob("*"))

    thread = threading.Thread(target=measure, name="measure", daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()


def _size(file: Path) -> int:
    try:
        return 0 if file.is_dir() else file.stat().st_size
    except FileNotFoundError:
        # A temporary file of MLflow's, renamed meanwhile.
        return 0


@contextmanager
def _explained() -> Iterator[None]:
    """Raise MLflow's errors as those by which a job's status goes."""
    from mlflow.exceptions import MlflowException
    from requests import RequestException

    try:
        yield
    except MlflowException as error:
        raise _kind_of(error, http_status(error))(str(error)) from error
    except RequestException as error:
        status = error.response.status_code if error.response is not None else 0
        raise _kind_of(error, status)(str(error)) from error
    except ImportError as error:
        message = (
            f"{error}: this server does not pass its artifacts on, and the agent's image has no "
            "client of their store; name their place in the store as the source"
        )
        raise DataError(message) from error


def _kind_of(error: Exception, status: int) -> type[DataError]:
    if status in (401, 403):
        return DataAccessDeniedError
    if status == 404 or any(mark in str(error) for mark in _NO_SUCH):
        return DataNotFoundError
    return DataUnavailableError if is_outage(error) else DataError
