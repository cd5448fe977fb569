"""A job's pods and events as its logs and `tj events` need them."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

_BEGUN = ("Running", "Succeeded", "Failed")
_ENDED = ("Succeeded", "Failed")


@dataclass(frozen=True, slots=True, order=True)
class Pod:
    """A pod of a TrainingJob: one node rank of one attempt."""

    attempt: int
    rank: int
    name: str
    uid: str
    phase: str

    @property
    def has_log(self) -> bool:
        """Whether its container has begun."""
        return self.phase in _BEGUN

    @property
    def ended(self) -> bool:
        """Whether it writes no more."""
        return self.phase in _ENDED


@dataclass(frozen=True, slots=True)
class Event:
    """An Event about a job, one of its batch/v1 Jobs or its pods."""

    time: datetime
    kind: str
    about: str
    type: str
    reason: str
    message: str
    count: int


@dataclass(frozen=True, slots=True)
class Selection:
    """Which logs: of all ranks or one, of all attempts or one."""

    rank: int | None = None
    attempt: int | None = None

    def of(self, pods: Iterable[Pod]) -> list[Pod]:
        """The pods that are meant, by attempt and rank."""
        return sorted(pod for pod in pods if self.includes(pod.attempt, pod.rank))

    def includes(self, attempt: int, rank: int) -> bool:
        """Whether the output of a node of an attempt is meant."""
        return self.rank in (None, rank) and self.attempt in (None, attempt)
