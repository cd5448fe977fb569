"""One value of one metric."""

from typing import NamedTuple


class Point(NamedTuple):
    """A value with the step and the time at which it was captured; `run_id` None: the job's run."""

    key: str
    value: float
    timestamp_milliseconds: int
    step: int
    run_id: str | None = None
