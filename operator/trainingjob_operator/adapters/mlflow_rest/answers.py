"""Reads MLflow's answers, and is the place that validates their values.

Every function takes the JSON object of an answer and raises ShapeError if that is not MLflow's.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, TypeVar

from trainingjob_operator.adapters.mlflow_rest.values import ModelInfo, RunInfo, ShapeError
from trainingjob_operator.core import border
from trainingjob_operator.core.contract import TAG_OPENED_BY

if TYPE_CHECKING:
    from collections.abc import Callable

JsonObject = dict[str, Any]
T = TypeVar("T")
# Its entries and the token of the next one.
Page = tuple[list[T], str | None]

MODEL_PENDING = "LOGGED_MODEL_PENDING"
# Characters of the longest that MLflow itself takes: entity keys, and the values of tags.
KEY_LIMIT = 250
VALUE_LIMIT = 8000
TOKEN_LIMIT = 10_000
# What can stand in a path and in a filter.
_IDENTIFIER = re.compile(r"[A-Za-z0-9_-]{1,100}")


def nothing(_: JsonObject) -> None:
    """An answer without content: the call was carried out."""


def run(answer: JsonObject) -> RunInfo:
    """A run (runs/create, runs/get)."""
    return _decode_run(answer.get("run"))


def updated_run(answer: JsonObject) -> RunInfo:
    """The info of a run (runs/update), without tags and metrics."""
    return _decode_run({"info": answer.get("run_info")})


def that_run(run_id: str, read: Callable[[JsonObject], RunInfo]) -> Callable[[JsonObject], RunInfo]:
    """Reads a run, which must be the requested one."""

    def checked(answer: JsonObject) -> RunInfo:
        found = read(answer)
        if found.run_id != run_id:
            raise ShapeError(f"it is about run {found.run_id} and not {run_id}")
        return found

    return checked


def run_page(answer: JsonObject) -> Page[RunInfo]:
    """A page of runs (runs/search)."""
    return [_decode_run(one) for one in _page(answer, "runs")], _token(answer)


def experiment(answer: JsonObject) -> tuple[str, bool]:
    """The id of an experiment and whether it is active (experiments/get-by-name)."""
    found = border.mapping(answer.get("experiment"))
    return _identifier(found, "experiment_id"), _identifier(found, "lifecycle_stage") == "active"


def experiment_page(answer: JsonObject) -> Page[str]:
    """The ids of a page of experiments (experiments/search)."""
    found = _page(answer, "experiments")
    return [_identifier(border.mapping(one), "experiment_id") for one in found], _token(answer)


def has_workspaces(answer: JsonObject) -> bool:
    """Whether a server has workspaces (server-info, REST API 3.0)."""
    return answer.get("workspaces_enabled") is True


def workspaces(answer: JsonObject) -> list[str]:
    """The names of workspaces (workspaces, REST API 3.0)."""
    return [_identifier(border.mapping(one), "name") for one in _page(answer, "workspaces")]


def model_page(answer: JsonObject) -> Page[ModelInfo]:
    """A page of LoggedModels (logged-models/search)."""
    return [_decode_model(one) for one in _page(answer, "models")], _token(answer)


def point_times(answer: JsonObject) -> Page[int]:
    """The times of a page of points in milliseconds (metrics/get-history)."""
    points = [border.mapping(point) for point in _page(answer, "metrics")]
    times = [_time(point.get("timestamp")) for point in points]
    return [ms for ms in times if ms is not None], _token(answer)


def new_experiment(answer: JsonObject) -> str:
    """The id of an experiment that was made (experiments/create)."""
    return _identifier(answer, "experiment_id")


def _page(answer: JsonObject, name: str) -> list[Any]:
    """The entries of a page; MLflow omits the field if there are none."""
    found = answer.get(name, [])
    if not isinstance(found, list) or (answer and name not in answer):
        raise ShapeError(f"it has no list of {name}")
    return found


def _token(answer: JsonObject) -> str | None:
    return border.text(answer.get("next_page_token"), TOKEN_LIMIT) or None


def _decode_run(run: object) -> RunInfo:
    """Decode a run of the API; the info alone, as runs/update answers, gives no tags.

    Raises:
        ShapeError: it has no id, experiment or status.
    """
    parts = border.mapping(run)
    info, data = border.mapping(parts.get("info")), border.mapping(parts.get("data"))
    metrics = [border.mapping(one) for one in border.sequence(data.get("metrics"))]
    tags = [border.mapping(one) for one in border.sequence(data.get("tags"))]
    return RunInfo(
        run_id=_identifier(info, "run_id"),
        experiment_id=_identifier(info, "experiment_id"),
        status=_identifier(info, "status"),
        start_time_ms=_time(info.get("start_time")) or 0,
        end_time_ms=_time(info.get("end_time")) or None,
        lifecycle_stage=_identifier(info, "lifecycle_stage"),
        tags={_key(tag): border.text(tag.get("value"), VALUE_LIMIT) for tag in tags},
        metrics={
            _key(metric): value
            for metric in metrics
            if (value := border.finite(metric.get("value"))) is not None
        },
        metric_times={
            _key(metric): ms
            for metric in metrics
            if (ms := _time(metric.get("timestamp"))) is not None
        },
    )


def _decode_model(model: object) -> ModelInfo:
    """Decode a LoggedModel of the API; raises ShapeError where it has no id or status."""
    info = border.mapping(border.mapping(model).get("info"))
    tags = [border.mapping(one) for one in border.sequence(info.get("tags"))]
    opened_by = (one.get("value") for one in tags if one.get("key") == TAG_OPENED_BY)
    return ModelInfo(
        _identifier(info, "model_id"),
        _identifier(info, "status") == MODEL_PENDING,
        border.text(next(opened_by, None), VALUE_LIMIT),
    )


def _identifier(source: JsonObject, name: str) -> str:
    """A short word that can stand in a path or in a filter; raises ShapeError."""
    value = source.get(name)
    word = str(value) if isinstance(value, int) else value
    if not isinstance(word, str) or not _IDENTIFIER.fullmatch(word):
        raise ShapeError(f"{name} is missing or invalid")
    return word


def _time(value: object) -> int | None:
    return border.whole(value, 0, border.LATEST_MS)


def _key(entry: JsonObject) -> str:
    return border.text(entry.get("key"), KEY_LIMIT)
