"""What goes to and comes from an MLflow server, as values."""

from __future__ import annotations

import base64
import ssl
from dataclasses import dataclass, field
from typing import Protocol

# MLflow's header of the workspace that a call is about (mlflow.utils.workspace_utils).
WORKSPACE_HEADER = "X-MLFLOW-WORKSPACE"
# The error_code that we give to a connection that could not be made, or that broke.
CONNECTION_FAILED = "CONNECTION_FAILED"
# That of an answer that is not MLflow's.
UNEXPECTED_ANSWER = "UNEXPECTED_ANSWER"


@dataclass(frozen=True, slots=True)
class Credentials:
    """How to log in: a bearer token, else basic by user name, else not at all.

    `ca_path` is a PEM file of the authorities to trust instead of the system's.
    """

    username: str = ""
    password: str = field(default="", repr=False)
    token: str = field(default="", repr=False)
    ca_path: str = ""

    def headers(self) -> dict[str, str]:
        """Return the Authorization header, if any."""
        if self.token:
            return {"Authorization": f"Bearer {self.token}"}
        if self.username:
            pair = base64.b64encode(f"{self.username}:{self.password}".encode()).decode()
            return {"Authorization": f"Basic {pair}"}
        return {}

    def ssl_context(self) -> ssl.SSLContext:
        """Return the TLS settings.

        Raises:
            OSError: `ca_path` cannot be read.
            ssl.SSLError: `ca_path` is no PEM file.
        """
        return ssl.create_default_context(cafile=self.ca_path or None)


class Login(Protocol):
    """How to log in, which may be another way at each call."""

    def headers(self) -> dict[str, str]:
        """Return the Authorization header, if any."""

    def ssl_context(self) -> ssl.SSLContext:
        """Return the TLS settings."""


class MlflowError(Exception):
    """A call that failed: HTTP status (None without an answer), MLflow's error_code, message.

    `retryable` says that the same call may succeed later: no connection, time-out, 429, 5xx,
    and an answer that is not MLflow's (as a proxy gives while the server restarts).
    """

    def __init__(self, status: int | None, code: str, message: str, *, retryable: bool) -> None:
        super().__init__(f"{code}: {message}")
        self.status = status
        self.code = code
        self.message = message
        self.retryable = retryable


@dataclass(frozen=True, slots=True)
class RunInfo:
    """A run: times in milliseconds since 1970 (0 and None: not set, or no time before 2200).

    MLflow's latest value of a metric is that of the highest step, whatever its time;
    `metric_times` are the times of those values. A value that is not a finite number, such as the
    loss of a training that diverged, is left out: JSON, and so the status, cannot represent it. So
    is an impossible time, such as one in nanoseconds.
    """

    run_id: str
    experiment_id: str
    status: str
    start_time_ms: int
    end_time_ms: int | None
    lifecycle_stage: str
    tags: dict[str, str]
    metrics: dict[str, float]
    metric_times: dict[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class ModelInfo:
    """A LoggedModel of MLflow 3; `pending`: its files were never all there.

    `opened_by` is the uid of the job whose pods created it, if MLflow's fluent API recorded that.
    """

    model_id: str
    pending: bool
    opened_by: str = ""


class ShapeError(ValueError):
    """An answer is JSON, but not what MLflow answers; the message names the part."""
