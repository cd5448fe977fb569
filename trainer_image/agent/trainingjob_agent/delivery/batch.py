"""What one call of runs/log-batch carries, and how it looks on the wire and on disk."""

from __future__ import annotations

import hashlib
import json
import math
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from trainingjob_agent.delivery.point import Point, Subject

if TYPE_CHECKING:
    from mlflow import MlflowClient

MAX_ITEMS = 1000
MAX_PARAMS_AND_TAGS = 100
MAX_KEY_CHARACTERS = 250
"""Limits of one runs/log-batch (MLflow REST API); params and tags are limited each."""

_HASH_CHARACTERS = 8
_SURROGATES = re.compile("[\ud800-\udfff]")
_NO_CHARACTER_OF_A_KEY = re.compile(r"[^/\w.\- :]")
_NO_FOLDERS = frozenset({"", ".", ".."})


@dataclass(frozen=True)
class Batch:
    """Points, parameters and tags for one run; params and tags only for the job's own."""

    points: tuple[Point, ...] = ()
    params: tuple[tuple[str, str], ...] = ()
    tags: tuple[tuple[str, str], ...] = ()

    def __len__(self) -> int:
        return len(self.points) + len(self.params) + len(self.tags)

    @property
    def run_id(self) -> str | None:
        """The run; None for the job's."""
        return self.points[0].run_id if self.points else None

    def request(self, run_id: str) -> dict[str, Any]:
        """Build the body of runs/log-batch."""
        return {
            "run_id": run_id,
            "metrics": [
                {
                    "key": point.key,
                    "value": _json_number(point.value),
                    "timestamp": point.timestamp_milliseconds,
                    "step": point.step,
                    **_present(point.subject),
                }
                for point in self.points
            ],
            "params": [{"key": key, "value": value} for key, value in self.params],
            "tags": [{"key": key, "value": value} for key, value in self.tags],
        }

    def log(self, client: MlflowClient, run_id: str) -> None:
        """Log to a store without a server, such as a file of a training on a laptop.

        Raises:
            MlflowException: not logged, or only in part; a repeat does no harm.
        """
        from mlflow.entities import Metric, Param, RunTag

        client.log_batch(
            run_id,
            metrics=[
                Metric(point.key, point.value, point.timestamp_milliseconds, point.step, **about)
                for point in self.points
                for about in [_present(point.subject)]
            ],
            params=[Param(key, value) for key, value in self.params],
            tags=[RunTag(key, value) for key, value in self.tags],
            synchronous=True,
        )

    def to_bytes(self) -> bytes:
        """Serialize for the spool."""
        points = [
            point[:4] if point.subject is None else (*point[:4], point.subject)
            for point in self.points
        ]
        return json.dumps(
            [self.run_id, points, self.params, self.tags], separators=(",", ":")
        ).encode()

    @classmethod
    def from_bytes(cls, body: bytes) -> Batch:
        """Read what `to_bytes` wrote."""
        run_id, points, params, tags = json.loads(body)
        return cls(
            tuple(
                Point(key, value, moment, step, run_id, Subject(*subject[0]) if subject else None)
                for key, value, moment, step, *subject in points
            ),
            tuple((key, value) for key, value in params),
            tuple((key, value) for key, value in tags),
        )

    def split(self) -> Iterator[Batch]:
        """Cut in two or three smaller ones, to find what a server refuses."""
        kinds = [Batch(self.points), Batch(params=self.params), Batch(tags=self.tags)]
        present = [batch for batch in kinds if len(batch)]
        if len(present) > 1:
            yield from present
            return
        half = len(self) // 2
        for part in (slice(half), slice(half, None)):
            yield replace(
                self, points=self.points[part], params=self.params[part], tags=self.tags[part]
            )

    def joined(self, other: Batch) -> Batch | None:
        """Put `other` behind this, as one call that means the same; None if that cannot be.

        The same parameter or tag twice stays two calls: MLflow refuses the one, and the order of
        the other counts.
        """
        if self.run_id != other.run_id or len(self) + len(other) > MAX_ITEMS:
            return None
        params, tags = self.params + other.params, self.tags + other.tags
        for pairs in (params, tags):
            if len(pairs) > MAX_PARAMS_AND_TAGS or len(dict(pairs)) < len(pairs):
                return None
        return Batch(self.points + other.points, params, tags)


def join(batches: Sequence[Batch]) -> tuple[int, Batch]:
    """Join as many of the first batches as one call can carry; return how many, and the whole."""
    whole = batches[0]
    for count, batch in enumerate(batches[1:], start=1):
        longer = whole.joined(batch)
        if longer is None:
            return count, whole
        whole = longer
    return len(batches), whole


def fit_key(key: str) -> str:
    """Return a key that MLflow can take, with "_" for what it cannot, of 250 characters at most.

    That is all but letters, digits, and / _ . - space and colon, and what is no path to it, as
    "loss//a". A long key is cut, and ends in a hash of the whole, so that two long keys stay two.
    """
    key = _NO_CHARACTER_OF_A_KEY.sub("_", key)
    key = "/".join("_" if part in _NO_FOLDERS else part for part in key.split("/"))
    if len(key) <= MAX_KEY_CHARACTERS:
        return key
    digest = hashlib.sha256(key.encode()).hexdigest()[:_HASH_CHARACTERS]
    return f"{key[: MAX_KEY_CHARACTERS - _HASH_CHARACTERS - 1]}-{digest}"


def fit_text(text: str) -> str:
    """Return `text` with "_" for what is no Unicode, as in file names that cannot be decoded."""
    return _SURROGATES.sub("_", text)


def _present(subject: Subject | None) -> dict[str, str]:
    """Name what a subject has, as MLflow's API does."""
    named = subject._asdict() if subject is not None else {}
    return {name: value for name, value in named.items() if value is not None}


def _json_number(value: float) -> float | str:
    """Spell what JSON has no number for as MLflow's API does (protobuf's JSON mapping)."""
    if math.isfinite(value):
        return value
    if math.isnan(value):
        return "NaN"
    return "Infinity" if value > 0 else "-Infinity"
