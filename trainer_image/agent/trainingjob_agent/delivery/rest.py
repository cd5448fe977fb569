"""The call of MLflow's REST API that carries metrics; its errors say what to do about them."""

from __future__ import annotations

import email.utils
import os
import time
from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from requests import Response

    from trainingjob_agent.delivery.batch import Batch

_CONTENT_REFUSED = frozenset({400, 413, 422})
_HELD = frozenset({401, 403, 404})
_TIMEOUT_SECONDS = 10.0
"""Of this call only: a server that uploads a model to its store answers when that is done."""
_LONGEST_RETRY_AFTER_SECONDS = 300.0
_SHOWN_CHARACTERS = 300
NO_CONNECTION_LEFT = "/3o7r)"
"""SQLAlchemy's name of a time-out of its pool of connections (sqlalche.me/e/20/3o7r), for which
MLflow answers 400 BAD_REQUEST: not a verdict on the content."""


class UnavailableError(Exception):
    """No use of an answer now; the same call may work in `retry_after_seconds` or later."""

    def __init__(self, message: str, retry_after_seconds: float = 0.0) -> None:
        super().__init__(message)
        self.retry_after_seconds = retry_after_seconds


class TooSlowError(UnavailableError):
    """The server did not answer in time: it may do so for a smaller call."""


class ServerFailedError(UnavailableError):
    """The server, or what is before it, answers 5xx: it may do so for this content only."""


class HeldError(Exception):
    """The server refuses everything until somebody changes something."""


class RefusedError(Exception):
    """The server rejects this content."""


def log_batch(uri: str, run_id: str, batch: Batch, timeout_seconds: float | None = None) -> None:
    """POST runs/log-batch once, with the login and the certificates that MLflow's client has.

    Args:
        uri: http or https.
        run_id: the run.
        batch: what to log.
        timeout_seconds: for connecting and for each wait; by default 10, unless somebody has set
            MLFLOW_HTTP_REQUEST_TIMEOUT.

    Raises:
        UnavailableError (also TooSlowError, ServerFailedError), HeldError, RefusedError: not
            delivered, or not known to be.
    """
    from mlflow.exceptions import MlflowException
    from mlflow.utils.rest_utils import http_request

    if timeout_seconds is None and "MLFLOW_HTTP_REQUEST_TIMEOUT" not in os.environ:
        timeout_seconds = _TIMEOUT_SECONDS
    try:
        response: Response = http_request(  # type: ignore[no-untyped-call]  # MLflow's
            credentials_of(uri),
            "/api/2.0/mlflow/runs/log-batch",
            "POST",
            max_retries=0,  # its retries know neither our deadline nor that others wait
            retry_codes=(),
            raise_on_status=False,
            timeout=timeout_seconds,
            json=batch.request(run_id),
        )
    except MlflowException as error:
        kind = TooSlowError if _timed_out(error) else UnavailableError
        raise kind(str(error)) from error
    _check(response)


def credentials_of(uri: str) -> Any:
    """Return what MLflow's client logs in with, by whatever name its version has for that."""
    try:
        found = import_module("mlflow.utils.credentials").get_default_host_creds
    except (ImportError, AttributeError):  # MLflow 2.10
        utils = import_module("mlflow.tracking._tracking_service.utils")
        found = utils._get_default_host_creds  # noqa: SLF001 - it has no public one
    return found(uri)


def _timed_out(error: Exception) -> bool:
    """Whether the request was sent and no answer came in time.

    MLflow's error was raised while it handled one of requests, which, without retries, wraps
    urllib3's.
    """
    from requests.exceptions import RequestException
    from urllib3.exceptions import MaxRetryError, ReadTimeoutError

    cause = error.__context__
    if not isinstance(cause, RequestException) or not cause.args:
        return False
    [inner, *_] = cause.args
    reason = inner.reason if isinstance(inner, MaxRetryError) else inner
    return isinstance(reason, ReadTimeoutError)


def _check(response: Response) -> None:
    status = response.status_code
    try:
        reply = response.json()
    except ValueError:
        reply = None
    if status == 200 and isinstance(reply, dict):
        return
    answer = reply.get("message") if isinstance(reply, dict) else None
    text = str(answer or response.text or response.reason)[:_SHOWN_CHARACTERS]
    message = f"{response.url} answers {status}: {text}"
    if NO_CONNECTION_LEFT in str(answer):
        raise UnavailableError(message)
    # A proxy's page is not MLflow's verdict on the content.
    if status in _CONTENT_REFUSED and (answer is not None or status == 413):
        raise RefusedError(message)
    if status in _HELD:
        raise HeldError(message)
    kind = ServerFailedError if status >= 500 else UnavailableError
    raise kind(message, _retry_after_seconds(response.headers.get("Retry-After")))


def _retry_after_seconds(header: str | None) -> float:
    """Read Retry-After (RFC 9110, 10.2.3): seconds, or a date; 0 when absent or unreadable."""
    if header is None:
        return 0.0
    if header.strip().isdigit():
        seconds = float(header)
    else:
        try:
            seconds = email.utils.parsedate_to_datetime(header).timestamp() - time.time()
        except ValueError:
            return 0.0
    return min(max(seconds, 0.0), _LONGEST_RETRY_AFTER_SECONDS)
