"""The runs on one server, and whether that server answers at all."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Protocol

from trainingjob_operator.runs.record import RunRecord

# A run is looked at so long after its job's end: a late write of a dying pod is still corrected.
RECHECK_SECONDS = 60.0
# An end that MLflow could not be told is tried for so long, whatever became of the job.
UNTOLD_SECONDS = 24 * 3600.0

Correction = Callable[[str, str], None]
OnError = Callable[[str], None]


class Changed(Protocol):
    """Told that something new is known of a job's run."""

    def __call__(self, key: str, /, *, urgent: bool = False) -> None:
        """Look at the job; at once where its end is told in MLflow now."""


@dataclass(slots=True)
class RunTable:
    """The records by the keys of their jobs.

    `silent` is why the server answers nobody, `unanswered` how many polls in a row it left so.
    """

    records: dict[str, RunRecord] = field(default_factory=dict)
    silent: str | None = None
    unanswered: int = 0

    def of(self, keys: list[str]) -> Iterator[tuple[str, RunRecord]]:
        """Those that are still there."""
        for key in keys:
            record = self.records.get(key)
            if record is not None:
                yield key, record

    def clear(self) -> None:
        """Forget all of it."""
        self.records.clear()
        self.silent, self.unanswered = None, 0

    def fell_silent(self, problem: str) -> list[str]:
        """Note that the server does not answer; returns the keys of those who wait for a run.

        Starts wait for their run or for a problem: each by itself would see this one last.
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
        """Note a poll without an answer; returns how many there were in a row."""
        self.unanswered += 1
        for record in self.records.values():
            record.answering_since = None
        return self.unanswered

    def answered(self) -> int:
        """Note an answer to a poll; returns how many before it had none."""
        before, self.unanswered = self.unanswered, 0
        self.silent = None
        return before

    def finished(self, now: float) -> list[str]:
        """The keys of those whose end is told and old enough, or was not told for a whole day."""
        return [
            key
            for key, record in self.records.items()
            if (record.ended and now - record.since > RECHECK_SECONDS)
            or (record.intent.status.terminal and now - record.since > UNTOLD_SECONDS)
        ]
