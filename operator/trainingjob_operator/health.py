"""What the operator shows of itself: whether its copies of the cluster are fresh, and its jobs."""

import asyncio
from collections import Counter
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Protocol

from trainingjob_operator.api import TrainingJob
from trainingjob_operator.core import goodput

# A watch lasts 60 to 90 s and is then begun anew; silence much longer is a stale copy.
STALE_SECONDS = 180.0


class Copy(Protocol):
    """A copy of one resource that a watch keeps."""

    @property
    def synced(self) -> asyncio.Event:
        """Set once all objects were listed."""

    def age(self) -> float:
        """Return the seconds since the API server last said anything."""


def stale(copies: Mapping[str, Copy]) -> str | None:
    """Which copies hear nothing any more; None if all are fresh."""
    old = [f"{name} {one.age():.0f} s" for name, one in copies.items() if one.age() > STALE_SECONDS]
    return f"no contact: {', '.join(old)}" if old else None


def unsynced(copies: Mapping[str, Copy]) -> str | None:
    """Which copies were never filled; None if all were."""
    waiting = [name for name, one in copies.items() if not one.synced.is_set()]
    return f"not listed yet: {', '.join(waiting)}" if waiting else None


def by_state(jobs: Iterable[TrainingJob]) -> Mapping[str, int]:
    """How many jobs are in each state."""
    return Counter(str(job.status.state or "Pending") for job in jobs)


def goodput_seconds(jobs: Iterable[TrainingJob]) -> Mapping[str, int]:
    """Where the time of all jobs went, by phase, up to now."""
    now = datetime.now(UTC)
    return goodput.total(goodput.as_of(job, now) for job in jobs)
