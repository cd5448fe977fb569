"""Distinguishes an outage, after which the same call may work, from a final answer."""

from __future__ import annotations

from trainingjob_agent.delivery.connection import (
    RunNotFoundError,
    http_status,
    import_mlflow,
)

_NO_SUCH_RUN = 404
_MAY_CHANGE = frozenset({401, 403, 408, 429})


class NotYetError(Exception):
    """A call names a run that is still to be made."""


def is_outage(error: Exception) -> bool:
    """Whether the same call of MLflow's client, also one with a file, may work later."""
    import_mlflow()
    from mlflow.exceptions import MlflowException
    from requests import HTTPError, RequestException

    if isinstance(error, MlflowException):
        return http_status(error) != 400
    if isinstance(error, HTTPError) and error.response is not None:
        # The artifact proxy's answer to a file, or that of a proxy before it, as 413 to its size.
        status = error.response.status_code
        return not 400 <= status < 500 or status in _MAY_CHANGE
    repeated = (RequestException, ConnectionError, TimeoutError, RunNotFoundError, NotYetError)
    return isinstance(error, repeated)


def is_refusal(error: Exception) -> bool:
    """Whether a call about a run that is not the job's is useless: it may have been deleted."""
    from mlflow.exceptions import MlflowException

    gone = isinstance(error, MlflowException) and http_status(error) == _NO_SUCH_RUN
    return gone or not is_outage(error)
