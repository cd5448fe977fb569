"""Which namespaces this installation serves: those whose Lease it holds.

Two installations may see the same TrainingJobs: two that watch the whole cluster, or one that does
and one that watches a namespace. The first one holds a well-known Lease in the namespace; the other
does nothing there until it expires. All replicas of an installation hold it under one name.
"""

import asyncio
import logging
from collections.abc import Callable, Collection, Mapping
from http import HTTPStatus
from typing import Any, Protocol

from trainingjob_operator.adapters.kube import ApiError
from trainingjob_operator.adapters.leader import LeaderElector, LeaseApi
from trainingjob_operator.cluster import namespaces

logger = logging.getLogger(__name__)

JsonObject = dict[str, Any]

LEASE_NAME = "trainingjobs.trainingjob.dev"
# Seconds between two checks of which namespaces are wanted.
LOOK_SECONDS = 5.0
# Seconds until another try for a Lease that another holds, or whose request failed.
RETRY_SECONDS = 3.0
# Seconds that a request for a Lease may take.
ANSWER_SECONDS = 10.0


class LeasesAndNamespaces(LeaseApi, namespaces.Objects, Protocol):
    """What claims need of the Kubernetes API."""


class NamespaceLeases:
    """The calls for Leases; in a namespace that is being deleted they always succeed."""

    def __init__(self, kube: LeasesAndNamespaces) -> None:
        self._kube = kube
        self.get_lease = kube.get_lease
        self.patch_lease = kube.patch_lease

    async def create_lease(self, namespace: str, body: JsonObject) -> JsonObject | None:
        """Create the Lease; None if another was quicker.

        A namespace that is being deleted loses its Leases and accepts no others, but its Jobs wait
        for their finalizers: there this returns the Lease as it would have been.
        """
        try:
            return await self._kube.create_lease(namespace, body)
        except ApiError as error:
            refused = error.status in (HTTPStatus.FORBIDDEN, HTTPStatus.NOT_FOUND)
            if not refused or not await namespaces.goes(self._kube, namespace):
                raise
            return {**body, "metadata": {**body["metadata"], "resourceVersion": ""}}


class Claims:
    """Holds the Leases of the `wanted` namespaces.

    `on_change` gets a namespace whenever this installation starts, or stops, serving it.
    """

    def __init__(
        self,
        kube: LeasesAndNamespaces,
        installation: str,
        lease_seconds: float,
        wanted: Callable[[], Collection[str]],
        on_change: Callable[[str], None],
        on_error: Callable[[str], None],
    ) -> None:
        self._leases = NamespaceLeases(kube)
        self._installation = installation
        self._lease_seconds = lease_seconds
        self._wanted = wanted
        self._on_change = on_change
        self._on_error = on_error
        self._electors: dict[str, LeaderElector] = {}
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._reported: dict[str, str] = {}
        self._running = False

    def serves(self, namespace: str) -> bool:
        """Whether the namespace is ours; the first call for it requests its Lease."""
        if not self._running:
            return False
        elector = self._electors.get(namespace) or self._stand(namespace)
        return elector.is_leader

    async def acquire(self, namespace: str) -> bool:
        """Request a namespace and wait for the answer, some seconds at most."""
        loop = asyncio.get_running_loop()
        until = loop.time() + ANSWER_SECONDS
        while not self.serves(namespace):
            if not self._running or namespace in self.foreign() or loop.time() >= until:
                return False
            await asyncio.sleep(0.05)
        return True

    def foreign(self) -> Mapping[str, str]:
        """The namespaces that another installation serves, and its name."""
        holders = {name: elector.other_holder for name, elector in self._electors.items()}
        return {name: holder for name, holder in holders.items() if holder is not None}

    async def run(self) -> None:
        """Renew the Leases until cancelled; then they expire, or our next leader renews them."""
        self._running = True
        try:
            while True:
                self._look()
                await asyncio.sleep(LOOK_SECONDS)
        finally:
            self._running = False
            for namespace in tuple(self._tasks):
                self._leave(namespace)

    def _look(self) -> None:
        wanted = self._wanted()
        for namespace in wanted:
            self.serves(namespace)
        for namespace in self._tasks.keys() - wanted:
            self._leave(namespace)
        foreign = self.foreign()
        for namespace, holder in foreign.items():
            if self._reported.get(namespace) != holder:
                logger.warning(
                    "namespace %s is served by another installation, %s: this one, %s, does "
                    "nothing there",
                    *(namespace, holder, self._installation),
                )
        self._reported = dict(foreign)

    def _stand(self, namespace: str) -> LeaderElector:
        elector = LeaderElector(
            self._leases,
            self._installation,
            namespace,
            LEASE_NAME,
            lease_seconds=self._lease_seconds,
            retry_seconds=RETRY_SECONDS,
            on_error=self._on_error,
        )
        self._electors[namespace] = elector
        self._tasks[namespace] = asyncio.create_task(
            elector.run(lambda: self._serve(namespace), lambda: self._cease(namespace)),
            name=f"claim of {namespace}",
        )
        return elector

    def _leave(self, namespace: str) -> None:
        self._tasks.pop(namespace).cancel()
        del self._electors[namespace]

    async def _serve(self, namespace: str) -> None:
        self._on_change(namespace)
        await asyncio.Event().wait()

    async def _cease(self, namespace: str) -> None:
        self._on_change(namespace)
