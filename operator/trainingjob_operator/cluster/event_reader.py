"""Reads the Warnings about attempts that do not start: one list serves a whole namespace.

Nothing watches Events, which are many and mostly irrelevant. The API server finds them by reading
all of a namespace, so lists are rare, and rarer the longer they take.
"""

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Protocol

from trainingjob_operator.adapters.kube import EVENTS, ApiError, Resource
from trainingjob_operator.api import TrainingJob
from trainingjob_operator.cluster.memory import Memory
from trainingjob_operator.core.decode import event_view
from trainingjob_operator.core.observe import EventView, Observed
from trainingjob_operator.core.policies import starting

logger = logging.getLogger(__name__)

PAGE_SIZE = 500
FRESH_SECONDS = 4.0
# A list is repeated after its own duration times this factor.
REST = 20.0
AGAIN_AFTER_ERROR = 30.0
MEMORY_SECONDS = 300.0

Warnings = dict[tuple[str, str], EventView]


class EventLists(Protocol):
    """What reading needs of the Kubernetes API; raises ApiError."""

    async def list_page(
        self,
        resource: Resource,
        *,
        namespace: str | None,
        field_selector: str,
        limit: int,
        continue_token: str | None,
    ) -> dict[str, Any]:
        """Return one page as the API's List object."""


@dataclass(slots=True)
class _Namespace:
    """The last list of one namespace; `known` is None if there is no reliable one."""

    known: Warnings | None = None
    again_at: float = 0.0
    reading: bool = False


class EventReader:
    """The last Warning about each Job and pod; `on_error` counts lists that failed."""

    def __init__(
        self,
        kube: EventLists,
        on_error: Callable[[str], None],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._kube = kube
        self._on_error = on_error
        self._clock = clock
        self._namespaces: Memory[str, _Namespace] = Memory(MEMORY_SECONDS, clock)

    async def about(
        self, job: TrainingJob, observed: Observed, now: datetime
    ) -> tuple[EventView, ...] | None:
        """Warnings about the current attempt; None if none are needed, or they are unknown."""
        if not starting.needs_events(job, observed, now):
            return None
        known = await self._known(job.metadata.namespace)
        if known is None or observed.job is None:
            return None
        children = [("Job", observed.job.name), *(("Pod", pod.name) for pod in observed.pods)]
        return tuple(known[child] for child in children if child in known)

    async def _known(self, name: str) -> Warnings | None:
        namespace = self._namespaces.get(name) or _Namespace()
        self._namespaces.keep(name, namespace)
        if namespace.reading or self._clock() < namespace.again_at:
            # Another job of the namespace has just read them, or is doing so: one worker is enough.
            return namespace.known
        namespace.reading = True
        started = self._clock()
        try:
            namespace.known = await self._list(name)
            took = self._clock() - started
            namespace.again_at = started + max(FRESH_SECONDS, REST * took)
        except ApiError as error:
            logger.warning("cannot read the events of namespace %s: %s", name, error)
            self._on_error("events")
            namespace.known = None
            namespace.again_at = self._clock() + AGAIN_AFTER_ERROR
        finally:
            namespace.reading = False
        return namespace.known

    async def _list(self, namespace: str) -> Warnings:
        found: Warnings = {}
        token: str | None = None
        while True:
            page = await self._kube.list_page(
                EVENTS,
                namespace=namespace,
                field_selector="type=Warning",
                limit=PAGE_SIZE,
                continue_token=token,
            )
            for event in _blocking(page):
                found[event.kind, event.name] = _later(found.get((event.kind, event.name)), event)
            token = page["metadata"].get("continue")
            if not token:
                return found


def _blocking(page: dict[str, Any]) -> list[EventView]:
    events = [event_view(one) for one in page.get("items") or ()]
    return [event for event in events if starting.blocks(event)]


def _later(one: EventView | None, other: EventView) -> EventView:
    if one is None or one.last_seen is None or other.last_seen is None:
        return other
    return other if other.last_seen >= one.last_seen else one
