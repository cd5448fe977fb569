"""What the operator shows of itself: whether its copies of the cluster are fresh, and its jobs."""

import asyncio
import time
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping
from datetime import UTC, datetime
from typing import Protocol

from trainingjob_operator.api import TrainingJob
from trainingjob_operator.cluster.trainingjobs import Known
from trainingjob_operator.core import goodput

# A watch lasts 60 to 90 s and is then begun anew; silence much longer is a stale copy.
STALE_SECONDS = 180.0


# The leader asks for its Lease three times in its duration, a standby more often.
CONTACT_SECONDS = 10.0


class Contact:
    """When the API server last answered one of our requests."""

    def __init__(self, lease_seconds: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._limit = max(CONTACT_SECONDS, lease_seconds)
        self._clock = clock
        self._last = clock()

    def saw(self, code: int) -> None:
        """Take note of a request's HTTP status, 0 where there was no answer."""
        if 0 < code < 500:
            self._last = self._clock()

    def problem(self) -> str | None:
        """What keeps us from it; None while it answers."""
        silent = self._clock() - self._last
        return f"no answer for {silent:.0f} s" if silent > self._limit else None


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


def unserved(
    namespaces: Collection[str], foreign: Mapping[str, str], asked_for: bool
) -> str | None:
    """Which namespaces another installation serves, where this one is of no use for that.

    An operator of the whole cluster leaves some of them to others; one that is asked for certain
    namespaces is to serve each.
    """
    if not foreign or (not asked_for and foreign.keys() < set(namespaces)):
        return None
    told = ", ".join(f"{name} by {holder}" for name, holder in sorted(foreign.items())[:10])
    return f"served by another installation: {told}"


def by_state(jobs: Iterable[Known]) -> Mapping[str, int]:
    """How many jobs are in each state; "Unreadable" are those that this release cannot read."""
    return Counter(
        str(job.status.state or "Pending") if isinstance(job, TrainingJob) else "Unreadable"
        for job in jobs
    )


def goodput_seconds(jobs: Iterable[TrainingJob]) -> Mapping[str, int]:
    """Where the time of all jobs went, by phase, up to now."""
    now = datetime.now(UTC)
    return goodput.total(goodput.as_of(job, now) for job in jobs)
