"""A TrainingJob as people look at it: read from what the API server answers, whatever its release.

A field that is missing or of another kind reads as its default.
"""

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from trainingjob.core import wire

SUCCEEDED, FAILED, STOPPED = "Succeeded", "Failed", "Stopped"
TERMINAL = (SUCCEEDED, FAILED, STOPPED)
UNSEEN = "Unseen"
"""State of a job that no operator has acted on."""
_EXIT_CODES = range(1, 256)


@dataclass(frozen=True, slots=True)
class Failure:
    """Why a job or an attempt failed, or why its pods do not start (`status.failure`)."""

    reason: str
    message: str
    node: str | None = None
    rank: int | None = None
    global_rank: int | None = None
    frame: str | None = None
    epoch: int | None = None
    step: int | None = None


@dataclass(frozen=True, slots=True)
class Attempt:
    """One entry of `status.attempts`."""

    number: int
    outcome: str | None
    reason: str | None
    message: str | None
    exit_code: int | None
    rank: int | None


@dataclass(frozen=True, slots=True)
class Progress:
    """`status.progress`: percent, epoch, optimizer steps, seconds to go, latest metrics."""

    percentage: int | None
    epoch: int | None
    step: int | None
    remaining_seconds: int | None
    metrics: dict[str, float]


@dataclass(frozen=True, slots=True)
class Condition:
    """One entry of `status.conditions`."""

    status: str
    reason: str
    message: str


@dataclass(frozen=True, slots=True)
class Job:
    """What `tj` shows of a TrainingJob."""

    name: str
    namespace: str
    uid: str
    created: datetime | None
    deleting: bool
    num_nodes: int
    queue: str | None
    managed_by: str | None
    image: str
    state: str
    attempt: int
    attempts: tuple[Attempt, ...]
    next_attempt: datetime | None
    failure: Failure | None
    conditions: dict[str, Condition]
    progress: Progress
    tracking_uri: str | None
    run_id: str | None
    run_status: str | None
    run_url: str | None

    @property
    def ended(self) -> bool:
        """Whether it is Succeeded, Failed or Stopped, which never changes again."""
        return self.state in TERMINAL

    @property
    def exit_code(self) -> int:
        """Exit code for a shell: 0, or that of the pod which failed first, or 1."""
        if self.state == SUCCEEDED:
            return 0
        last = self.attempts[-1].exit_code if self.attempts else None
        return last if last is not None and last in _EXIT_CODES else 1


def read(body: Any) -> Job:
    """Read a TrainingJob."""
    metadata, spec, status = _map(body, "metadata"), _map(body, "spec"), _map(body, "status")
    mlflow = _map(status, "mlflow")
    return Job(
        name=_text(metadata, "name") or "",
        namespace=_text(metadata, "namespace") or "",
        uid=_text(metadata, "uid") or "",
        created=_time(metadata, "creationTimestamp"),
        deleting=_text(metadata, "deletionTimestamp") is not None,
        num_nodes=_whole(spec, "numNodes") or 1,
        queue=_text(spec, "queueName"),
        managed_by=_text(spec, "managedBy"),
        image=_text(spec, "image") or "",
        state=_text(status, "state") or UNSEEN,
        attempt=_whole(status, "attempt") or 0,
        attempts=tuple(_attempt(one) for one in _list(status, "attempts")),
        next_attempt=_time(status, "nextAttemptTime"),
        failure=_failure(_map(status, "failure")),
        conditions={
            _text(one, "type") or "": Condition(
                _text(one, "status") or "Unknown",
                _text(one, "reason") or "",
                _text(one, "message") or "",
            )
            for one in _list(status, "conditions")
        },
        progress=_progress(_map(status, "progress")),
        tracking_uri=_text(mlflow, "trackingUri"),
        run_id=_text(mlflow, "runId"),
        run_status=_text(mlflow, "status"),
        run_url=_text(mlflow, "url"),
    )


def is_training_job(body: Any) -> bool:
    """Whether a manifest is a TrainingJob of the release that this client writes."""
    return _text(body, "apiVersion") == wire.API_VERSION and _text(body, "kind") == wire.KIND


def _attempt(body: Any) -> Attempt:
    return Attempt(
        _whole(body, "attempt") or 0,
        _text(body, "outcome"),
        _text(body, "reason"),
        _text(body, "message"),
        _whole(body, "exitCode"),
        _whole(body, "rank"),
    )


def _failure(body: Any) -> Failure | None:
    reason = _text(body, "reason")
    if reason is None:
        return None
    return Failure(
        reason,
        _text(body, "message") or "",
        _text(body, "node"),
        _whole(body, "rank"),
        _whole(body, "globalRank"),
        _text(body, "frame"),
        _whole(body, "epoch"),
        _whole(body, "step"),
    )


def _progress(body: Any) -> Progress:
    metrics = _map(body, "metrics")
    return Progress(
        _whole(body, "percentage"),
        _whole(body, "epoch"),
        _whole(body, "step"),
        _whole(body, "estimatedRemainingSeconds"),
        {str(name): float(value) for name, value in metrics.items() if _number(value)},
    )


def _map(body: Any, field: str) -> dict[str, Any]:
    found = body.get(field) if isinstance(body, dict) else None
    return found if isinstance(found, dict) else {}


def _list(body: Any, field: str) -> list[Any]:
    found = body.get(field) if isinstance(body, dict) else None
    return found if isinstance(found, list) else []


def _text(body: Any, field: str) -> str | None:
    found = body.get(field) if isinstance(body, dict) else None
    return found if isinstance(found, str) and found else None


def _whole(body: Any, field: str) -> int | None:
    found = body.get(field) if isinstance(body, dict) else None
    return found if isinstance(found, int) and not isinstance(found, bool) else None


def _number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _time(body: Any, field: str) -> datetime | None:
    text = _text(body, field)
    if text is None:
        return None
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        return None
    return found if found.tzinfo else found.replace(tzinfo=UTC)
