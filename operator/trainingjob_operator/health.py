"""The health of the operator: whether its copies of the cluster are fresh; its jobs in numbers."""

import asyncio
import time
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping
from datetime import UTC, datetime
from typing import Protocol

from trainingjob_operator.api import TrainingJob
from trainingjob_operator.cluster.trainingjobs import Known
from trainingjob_operator.core import goodput

# A watch lasts 60 to 90 s and is then renewed; a much longer silence means a stale copy.
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
        """Note the HTTP status of a request, 0 if there was no answer."""
        if 0 < code < 500:
            self._last = self._clock()

    def problem(self) -> str | None:
        """Why we cannot reach it; None while it answers."""
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
    """The copies that have become stale; None if all are fresh."""
    old = [f"{name} {one.age():.0f} s" for name, one in copies.items() if one.age() > STALE_SECONDS]
    return f"no contact: {', '.join(old)}" if old else None


def unsynced(copies: Mapping[str, Copy]) -> str | None:
    """The copies that were never filled; None if all were."""
    waiting = [name for name, one in copies.items() if not one.synced.is_set()]
    return f"not listed yet: {', '.join(waiting)}" if waiting else None


def unserved(
    namespaces: Collection[str], foreign: Mapping[str, str], asked_for: bool
) -> str | None:
    """The namespaces that another installation serves, if that makes this one not ready.

    An operator of the whole cluster may leave some namespaces to others; one with watched
    namespaces has to serve each of them.
    """
    if not foreign or (not asked_for and foreign.keys() < set(namespaces)):
        return None
    served = ", ".join(f"{name} by {holder}" for name, holder in sorted(foreign.items())[:10])
    return f"served by another installation: {served}"


def by_state(jobs: Iterable[Known]) -> Mapping[str, int]:
    """How many jobs are in each state; "Unreadable" are those that this release cannot read."""
    return Counter(
        str(job.status.state or "Pending") if isinstance(job, TrainingJob) else "Unreadable"
        for job in jobs
    )


def goodput_seconds(jobs: Iterable[TrainingJob]) -> Mapping[str, int]:
    """The time of all jobs by phase, up to now."""
    now = datetime.now(UTC)
    return goodput.total(goodput.as_of(job, now) for job in jobs)
