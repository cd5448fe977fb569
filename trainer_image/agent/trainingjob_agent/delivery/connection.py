"""The job's MLflow run: which it is, and a client for it."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from typing import TYPE_CHECKING

from trainingjob_agent import login
from trainingjob_agent.contract import LOCAL_NAME, Contract
from trainingjob_agent.delivery import rest
from trainingjob_agent.delivery.batch import Batch

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.exceptions import MlflowException

UID_TAG = "trainingjob.uid"
"""Tag by which the operator marks the run of a TrainingJob."""
NAME_TAG = "trainingjob.name"
NAMESPACE_TAG = "trainingjob.namespace"

PROBE_TAG = "trainingjob.delivery_probe"
"""Tag whose value is when the sender last made sure that the server takes anything at all."""

_CLIENT_DEFAULTS = {
    # MLflow's own defaults block one call to a dead server for four minutes.
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "1",
    "MLFLOW_HTTP_REQUEST_BACKOFF_FACTOR": "1",
    # A training pod calls nobody but the tracking server it was given.
    "MLFLOW_DISABLE_TELEMETRY": "true",
}


_MLFLOWS = "mlflow.tracking.request_header."
_IMPORTING = threading.Lock()


def import_mlflow() -> None:
    """Import MLflow's client, which takes seconds: never on the training thread.

    One thread after the other: two that begin at the same time may each find half of the package.
    """
    with _IMPORTING:
        import mlflow
        import mlflow.exceptions  # noqa: F401 - for those who import names of it

        login.register()
        _look_for_databricks_once()


def _look_for_databricks_once() -> None:
    """Spare each call a search for three packages of Databricks' clusters, a fourth of its time.

    MLflow asks each time whether it runs in one, for a header of the request; it has no public way
    to leave that out.
    """
    registry = import_module("mlflow.tracking.request_header.registry")
    providers = getattr(registry, "_request_header_provider_registry", None)
    found = getattr(providers, "_registry", None)
    if isinstance(found, list):
        for one in [one for one in found if type(one).__module__.startswith(_MLFLOWS)]:
            if not one.in_context():
                found.remove(one)


class RunNotFoundError(LookupError):
    """No run carries the job's uid yet: the operator has not created it."""


class RunConnection:
    """Resolves the run once, whoever asks first. Safe to use from several threads."""

    def __init__(self, contract: Contract) -> None:
        for variable, value in _CLIENT_DEFAULTS.items():
            os.environ.setdefault(variable, value)
        os.environ.update(login.login_variables(os.environ))
        self._contract = contract
        self._lock = threading.Lock()
        self._client: MlflowClient | None = None
        self._run_id = contract.run_id

    @property
    def attempt(self) -> int:
        """Number of the job's attempt that delivers."""
        return self._contract.attempt

    @property
    def run_id(self) -> str | None:
        """The run's id; None before it has been found."""
        return self._run_id

    def is_own(self, run_id: str | None) -> bool:
        """Whether this names the job's run, which None does, too."""
        return run_id is None or run_id == self._contract.run_id

    def resolve(self) -> tuple[MlflowClient, str]:
        """Return the client and the id of the run, by the contract or by the tag `trainingjob.uid`.

        Raises:
            RunNotFoundError: the operator has not created the run yet.
            MlflowException: the server does not answer, or answers with an error.
        """
        with self._lock:
            if self._client is None:
                import_mlflow()
                from mlflow import MlflowClient

                self._client = MlflowClient(self._contract.tracking_uri)
            if self._run_id is None:
                self._run_id = self._find(self._client)
            return self._client, self._run_id

    def log_batch(self, batch: Batch, timeout_seconds: float | None) -> None:
        """Log one batch to its run, with one try.

        Raises:
            UnavailableError, HeldError, RefusedError: not delivered, or not known to be.
        """
        client, run_id = self._for(batch)
        uri = str(self._contract.tracking_uri)
        if uri.startswith(("http://", "https://")):
            rest.log_batch(uri, run_id, batch, timeout_seconds)
        else:
            with _told_apart(rest.RefusedError):
                batch.log(client, run_id)

    def run_is_deleted(self, batch: Batch) -> bool:
        """Whether the run of this batch is in MLflow's trash (runs/get).

        Raises:
            UnavailableError, HeldError: the server does not answer that.
        """
        client, run_id = self._for(batch)
        with _told_apart():
            return bool(client.get_run(run_id).info.lifecycle_stage == "deleted")

    def params_of(self, batch: Batch) -> dict[str, str]:
        """Return the parameters that the run of this batch has (runs/get).

        Raises:
            UnavailableError, HeldError: the server does not answer that.
        """
        client, run_id = self._for(batch)
        with _told_apart():
            return dict(client.get_run(run_id).data.params)

    def takes_writes(self, beside: Batch, timeout_seconds: float | None) -> bool:
        """Whether the server takes another write to the run of a batch that it fails on."""
        _, run_id = self._for(beside)
        probe = Batch(tags=((PROBE_TAG, str(time.time_ns() // 1_000_000)),))
        try:
            rest.log_batch(str(self._contract.tracking_uri), run_id, probe, timeout_seconds)
        except (rest.UnavailableError, rest.HeldError, rest.RefusedError):
            return False
        return True

    def _for(self, batch: Batch) -> tuple[MlflowClient, str]:
        with _told_apart():
            client, run_id = self.resolve()
        return client, batch.run_id or run_id

    def _find(self, client: MlflowClient) -> str:
        """Search all experiments (runs/search); of several runs the operator keeps the oldest.

        A run that has only the uid is not the job's: anybody can write a tag.
        """
        experiment_ids = [self._contract.experiment_id] if self._contract.experiment_id else []
        token: str | None = None
        while not experiment_ids or token:
            page = client.search_experiments(page_token=token)
            experiment_ids += [experiment.experiment_id for experiment in page]
            token = page.token
            if not page:
                break
        runs = client.search_runs(
            experiment_ids,
            filter_string=" AND ".join(
                f"tags.`{tag}` = '{value}'" for tag, value in self._own_tags().items()
            ),
            order_by=["attributes.start_time ASC"],
            max_results=1,
        )
        if not runs:
            raise RunNotFoundError(f"no MLflow run has the tag {UID_TAG}={self._contract.uid} yet")
        return str(runs[0].info.run_id)

    def _own_tags(self) -> dict[str, str]:
        tags = {UID_TAG: str(self._contract.uid)}
        if self._contract.name != LOCAL_NAME:
            tags[NAME_TAG], tags[NAMESPACE_TAG] = self._contract.name, self._contract.namespace
        return tags


def http_status(error: MlflowException) -> int:
    """Return the HTTP status that an error stands for, also one found before the request."""
    return int(error.get_http_status_code())  # type: ignore[no-untyped-call]  # MLflow's


@contextmanager
def _told_apart(bad_request: type[Exception] = rest.HeldError) -> Iterator[None]:
    """Raise what MLflow's client raises as the errors by which the sender goes."""
    import_mlflow()
    from mlflow.exceptions import MlflowException

    try:
        yield
    except RunNotFoundError as error:
        raise rest.UnavailableError(str(error)) from error
    except MlflowException as error:
        raise _kind_of(error, bad_request)(str(error)) from error


def _kind_of(error: MlflowException, bad_request: type[Exception]) -> type[Exception]:
    status = http_status(error)
    if status == 400 and rest.NO_CONNECTION_LEFT not in str(error):
        return bad_request
    return rest.HeldError if status in (401, 403, 404) else rest.UnavailableError
