"""The copies that lists and watches keep of TrainingJobs and of the objects they own."""

import asyncio
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime
from functools import partial
from typing import Any, TypeVar

from trainingjob_operator.adapters.informer import Informer
from trainingjob_operator.adapters.kube import (
    JOBS,
    PODS,
    SERVICES,
    TRAININGJOBS,
    Kube,
    Resource,
)
from trainingjob_operator.adapters.workqueue import WorkQueue
from trainingjob_operator.cluster.caches import Caches, key_of
from trainingjob_operator.cluster.namespaces import NamespaceInformers, NamespaceLister
from trainingjob_operator.cluster.runtimes import Runtimes
from trainingjob_operator.cluster.trainingjobs import TrainingJobCache
from trainingjob_operator.core import contract, names
from trainingjob_operator.core.decode import job_view, pod_view, service_view
from trainingjob_operator.core.observe import JobView, PodView, ServiceView, owner_key
from trainingjob_operator.core.policies import runtimes

T = TypeVar("T", JobView, PodView, ServiceView)

OURS = f"{contract.LABEL_MANAGED_BY}={contract.MANAGED_BY}"


class Copies:
    """All copies, of the given namespaces, or of all namespaces if none is given."""

    def __init__(
        self,
        kube: Kube,
        namespaces: tuple[str, ...],
        queue: WorkQueue,
        on_error: Callable[[str], None],
    ) -> None:
        self._kube = kube
        self._scopes = namespaces or ("",)
        self._queue = queue
        self._on_error = on_error
        listers = [kube.source(TRAININGJOBS, namespace=one or None) for one in self._scopes]
        # kopf fills it: see handlers.py.
        self.trainingjobs = TrainingJobCache(
            NamespaceLister(listers),
            queue.add,
            on_error,
            lambda job: self.caches.remember_departed(job, datetime.now(UTC)),
        )
        self.jobs = self._informers(JOBS, job_view)
        self.pods = self._informers(
            PODS,
            pod_view,
            on_news=self._pod_news,
            on_gone=lambda pod: self.caches.remember_gone(pod),
        )
        self.services = self._informers(
            SERVICES,
            service_view,
            on_gone=lambda service: self.caches.forget_service(service),
        )
        self.caches = Caches(self.trainingjobs, self.jobs, self.pods, self.services)
        self.runtimes = Runtimes(kube, namespaces, self._runtime_changed, on_error)

    def _informers(
        self,
        resource: Resource,
        decode: Callable[[dict[str, Any]], T],
        on_news: Callable[[T], None] = lambda _: None,
        on_gone: Callable[[T], None] = lambda _: None,
    ) -> NamespaceInformers[T]:
        source = partial(self._kube.source, resource, label_selector=OURS)
        return NamespaceInformers(
            {
                scope: Informer(
                    source(namespace=scope or None),
                    decode,
                    owner_key,
                    self._queue.add,
                    on_news=on_news,
                    on_gone=on_gone,
                    on_error=self._on_error,
                )
                for scope in self._scopes
            }
        )

    def _runtime_changed(self, key: str) -> None:
        """Jobs that may get it look again; all others have what they began with."""
        namespace, _ = names.split_key(key)
        for job in self.trainingjobs.readable():
            if namespace in ("", job.metadata.namespace) and runtimes.is_unsettled(job):
                self._queue.add(key_of(job))

    def _pod_news(self, pod: PodView) -> None:
        """An end precedes the starts of other jobs: people and programs wait for it."""
        if not pod.live:
            self._queue.add(owner_key(pod), urgent=True)

    @property
    def informers(self) -> Mapping[str, NamespaceInformers[Any]]:
        """The informers of Jobs, pods, Services and runtimes, by the resource's plural."""
        return {
            "jobs": self.jobs,
            "pods": self.pods,
            "services": self.services,
            **self.runtimes.informers,
        }

    def parts(self) -> Iterator[tuple[str, TrainingJobCache | Informer[Any]]]:
        """Each copy that can become stale by itself, under its display name."""
        yield "trainingjobs", self.trainingjobs
        for plural, informers in self.informers.items():
            for scope, part in informers.parts.items():
                yield (f"{plural} in {scope}" if scope else plural), part

    def all_keys(self) -> set[str]:
        """All TrainingJobs, and the deleted ones of which a Job with our finalizer is left."""
        held = {owner_key(child) for child in self.jobs.items() if child.held}
        return held.union(self.trainingjobs)

    def namespaces(self) -> set[str]:
        """The given namespaces, otherwise those in which there is something to do."""
        given = {scope for scope in self._scopes if scope}
        return given or {names.split_key(key)[0] for key in self.all_keys()}

    async def refresh(self, seconds: float) -> None:
        """List TrainingJobs, and wait until the other lists are no older than this."""
        await asyncio.gather(
            self.trainingjobs.refresh(),
            *(informers.refresh(seconds) for informers in self.informers.values()),
        )
