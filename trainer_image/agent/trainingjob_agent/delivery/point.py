"""One value of one metric."""

from __future__ import annotations

from typing import NamedTuple


class Subject(NamedTuple):
    """What a value is about besides its run: a logged model or a data set (MLflow 3)."""

    model_id: str | None = None
    dataset_name: str | None = None
    dataset_digest: str | None = None


class Point(NamedTuple):
    """A value with the step and the time at which it was captured; `run_id` None: the job's run."""

    key: str
    value: float
    timestamp_milliseconds: int
    step: int
    run_id: str | None = None
    subject: Subject | None = None
