"""The runs on one server, and whether that server answers at all."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Protocol

from trainingjob_operator.runs.record import RunRecord

# A run is polled for so many seconds after its job's end, to correct late writes of dying pods.
RECHECK_SECONDS = 60.0
# An end that MLflow has not accepted is retried for this time, even if the job is gone.
UNCONFIRMED_SECONDS = 24 * 3600.0

Correction = Callable[[str, str], None]
OnError = Callable[[str], None]


class Changed(Protocol):
    """Notified when something new is known about a job's run."""

    def __call__(self, key: str, /, *, urgent: bool = False) -> None:
        """Reconcile the job; at once if MLflow has confirmed its end."""


@dataclass(slots=True)
class RunTable:
    """The records by the keys of their jobs.

    `silent` is why the server does not answer, `unanswered` the number of such polls in a row.
    """

    records: dict[str, RunRecord] = field(default_factory=dict)
    silent: str | None = None
    unanswered: int = 0

    def of(self, keys: list[str]) -> Iterator[tuple[str, RunRecord]]:
        """The records that still exist."""
        for key in keys:
            record = self.records.get(key)
            if record is not None:
                yield key, record

    def clear(self) -> None:
        """Forget all of it."""
        self.records.clear()
        self.silent, self.unanswered = None, 0

    def fell_silent(self, problem: str) -> list[str]:
        """Note that the server does not answer; returns the keys of jobs that wait for a run.

        A start waits for its run or for a problem, and by itself would learn of this one late.
        """
        self.silent = problem
        waiting = [
            key
            for key, record in self.records.items()
            if record.info is None and record.problem is None
        ]
        for key in waiting:
            self.records[key].problem = problem
        return waiting

    def left_unanswered(self) -> int:
        """Note a poll without an answer; returns the number of such polls in a row."""
        self.unanswered += 1
        for record in self.records.values():
            record.answering_since = None
        return self.unanswered

    def answered(self) -> int:
        """Note an answer to a poll; returns the number of unanswered polls before it."""
        before, self.unanswered = self.unanswered, 0
        self.silent = None
        return before

    def finished(self, now: float) -> list[str]:
        """The keys of runs whose end is confirmed and old enough, or unconfirmed for a day.

        While what their pods opened is still being closed, they stay: it would begin anew.
        """
        return [
            key
            for key, record in self.records.items()
            if (record.ended and record.closed is not False and record.age(now) > RECHECK_SECONDS)
            or (record.intent.status.terminal and record.age(now) > UNCONFIRMED_SECONDS)
        ]
