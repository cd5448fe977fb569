"""Puts the operator together and runs it: caches on every replica, work on the leader only."""

import asyncio
import logging
import os
from collections.abc import Callable
from dataclasses import replace
from http import HTTPStatus

import aiohttp

from trainingjob_operator import __version__, health
from trainingjob_operator.adapters.events import EventWriter
from trainingjob_operator.adapters.http import Content, HttpServer
from trainingjob_operator.adapters.kube import TRAININGJOBS, ApiError, Kube, NotFound
from trainingjob_operator.adapters.leader import LeaderElector
from trainingjob_operator.adapters.metrics import OperatorMetrics
from trainingjob_operator.adapters.proxies import environment_proxy
from trainingjob_operator.adapters.workqueue import WorkQueue
from trainingjob_operator.api import State, TrainingJob, TrainingJobStatus
from trainingjob_operator.cluster.claims import Claims
from trainingjob_operator.cluster.copies import Copies
from trainingjob_operator.cluster.namespaces import watch_access
from trainingjob_operator.cluster.reconciler import Reconciler
from trainingjob_operator.cluster.trainingjobs import TrainingJobCache
from trainingjob_operator.core import names, reasons, resolution
from trainingjob_operator.core.tracking_uris import TrackingUris
from trainingjob_operator.retrying import spread
from trainingjob_operator.runs.clients import ClientPool
from trainingjob_operator.runs.router import RunRouter
from trainingjob_operator.runs.sweeper import NotServed, Sweeper
from trainingjob_operator.settings import Settings

logger = logging.getLogger(__name__)

RESYNC_SECONDS = 600.0
# A new leader lists again, unless it has just done so at its start.
FRESH_SECONDS = 2.0
MLFLOW_WORKERS = 2
# At the end, calls under way get this long: one that is cut off may take effect after the next
# leader has read the state, which then repeats it.
DRAIN_SECONDS = 3.0
# A namespace's Lease lasts this many times longer than the leader's: there may be many of them.
CLAIM_FACTOR = 8


class Application:
    """One replica of the operator."""

    def __init__(
        self,
        settings: Settings,
        kube: Kube,
        metrics: OperatorMetrics,
        contact: health.Contact,
        namespaces: tuple[str, ...],
    ) -> None:
        self._settings = settings
        self._kube = kube
        self._metrics = metrics
        self._contact = contact
        self._namespaces = namespaces
        self._queue = WorkQueue()
        self._mlflow = ClientPool(settings, os.environ, metrics.on_mlflow_call)
        self._copies = Copies(kube, namespaces, self._queue, metrics.on_error)
        self._runs = RunRouter(
            self._mlflow,
            self._queue.add,
            lambda was, now: metrics.mlflow_status_corrections.labels(was, now).inc(),
            metrics.on_error,
            settings.mlflow_poll_seconds,
        )
        self._leader = LeaderElector(
            kube,
            settings.identity,
            settings.namespace,
            settings.installation,
            lease_seconds=settings.lease_seconds,
            renew_seconds=settings.lease_seconds / 3,
            on_error=metrics.on_error,
        )
        self._claims = Claims(
            kube,
            f"{settings.namespace}/{settings.installation}",
            CLAIM_FACTOR * settings.lease_seconds,
            self._copies.namespaces,
            self._enqueue,
            metrics.on_error,
        )
        self._tasks: list[asyncio.Task[None]] = []

    @classmethod
    async def connect(cls, settings: Settings, namespaces: tuple[str, ...]) -> "Application":
        """Log in to the API server that the pod or KUBECONFIG names."""
        metrics = OperatorMetrics(__version__)
        contact = health.Contact(settings.lease_seconds)

        def on_request(verb: str, plural: str, code: int, seconds: float) -> None:
            metrics.on_request(verb, plural, code, seconds)
            contact.saw(code)

        kube = await Kube.connect(on_request=on_request, proxy_of=environment_proxy)
        return cls(settings, kube, metrics, contact, namespaces)

    @property
    def trainingjobs(self) -> TrainingJobCache:
        """The TrainingJobs, which kopf's watch brings."""
        return self._copies.trainingjobs

    async def start(self, server: HttpServer, on_access: Callable[[], None]) -> None:
        """Start to serve, to watch and to run for election; returns when kopf may watch.

        `on_access` is called when the set of readable namespaces has changed.
        """
        server.show(self._content())
        await self._served()
        work = {
            **{plural: informers.run() for plural, informers in self._copies.informers.items()},
            "resync": self._resync(),
            "access": watch_access(
                self._kube, self._settings.watch_namespaces, self._namespaces, on_access
            ),
            "leader": self._leader.run(self._lead, self._step_down),
        }
        self._tasks = [asyncio.create_task(job, name=name) for name, job in work.items()]

    @property
    def server(self) -> str:
        """The API server's address."""
        return self._kube.server

    def kopf_session(self) -> aiohttp.ClientSession:
        """A session with our login, for kopf to watch TrainingJobs with."""
        return self._kube.session(self._kopf_request)

    def _kopf_request(self, verb: str, plural: str, code: int, seconds: float) -> None:
        self._metrics.on_request(verb, plural, code, seconds)
        if plural == TRAININGJOBS.plural:
            self.trainingjobs.saw_request(verb, code)

    async def _served(self) -> None:
        """Wait until the API server serves TrainingJobs: kopf checks that only once."""
        source = self._kube.source(TRAININGJOBS, namespace=next(iter(self._namespaces), None))
        while True:
            try:
                await source.list_page(limit=1, continue_token=None)
            except ApiError as error:
                logger.warning("cannot list TrainingJobs, retrying: %s", error)
                await asyncio.sleep(1)
            else:
                return

    async def stop(self) -> None:
        """End the work under way, and release the lease at once."""
        await asyncio.gather(self._queue.drain(DRAIN_SECONDS), self._runs.drain(DRAIN_SECONDS))
        # From here on an ended task does not mean that the operator is unhealthy.
        tasks, self._tasks = self._tasks, []
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await self._leader.release()
        await self._mlflow.close()
        await self._kube.close()

    async def _lead(self) -> None:
        """The leader's work, once the caches are filled."""
        # An object missing in a copy must really not exist, or an attempt would start twice.
        await self._copies.refresh(FRESH_SECONDS)
        uris = replace(self._settings.tracking_uris, cluster=await self._cluster_uid())
        self._enqueue()
        reconciler = Reconciler(
            self._kube,
            self._copies.caches,
            self._copies.runtimes,
            self._runs,
            EventWriter(self._kube, self._settings.identity),
            uris,
            self._settings.pod_defaults,
            self._metrics.on_reconcile,
            self._count,
            self._metrics.on_error,
            self._claims.serves,
        )
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._claims.run())
            tasks.create_task(self._runs.run(MLFLOW_WORKERS))
            tasks.create_task(
                self._queue.run_workers(
                    self._settings.workers, reconciler.reconcile, reconciler.report_failing
                )
            )
            if uris.cluster:
                tasks.create_task(self._sweeper(uris).run())

    async def _cluster_uid(self) -> str:
        """The mark of the runs that this operator manages; "" if it may not read it.

        It is the uid of kube-system, which lives as long as the cluster; for an operator that may
        read only some namespaces, the uid of its own namespace.
        """
        namespace = self._settings.namespace if self._settings.watch_namespaces else "kube-system"
        while True:
            try:
                return await self._kube.namespace_uid(namespace)
            except ApiError as error:
                if error.status in (HTTPStatus.FORBIDDEN, HTTPStatus.NOT_FOUND):
                    logger.warning("will not search for runs without a job: %s", error)
                    return ""
                logger.warning("cannot read the namespace %s: %s", namespace, error)
                await asyncio.sleep(1)

    def _sweeper(self, uris: TrackingUris) -> Sweeper:
        all_uris = (uris.default_uri, *sorted(uris.allowed_uris - {uris.default_uri}))
        closed = self._metrics.orphaned_runs.inc
        return Sweeper(
            self._mlflow,
            all_uris,
            uris.cluster,
            self._lookup,
            self._copies.caches.guarded,
            closed,
            self._metrics.on_error,
        )

    async def _lookup(self, namespace: str, name: str) -> TrainingJob | None:
        watched = not self._namespaces or namespace in self._namespaces
        if not watched or not await self._claims.acquire(namespace):
            raise NotServed(namespace)
        try:
            found = await self._kube.get(TRAININGJOBS, namespace, name)
        except NotFound:
            return None
        return resolution.effective(TrainingJob.model_validate(found))

    def _count(self, old: TrainingJobStatus, new: TrainingJobStatus) -> None:
        """Count restarts and failures as their status is stored."""
        if new.state == old.state or new.failure is None:
            return
        reason = reasons.bounded(new.failure.reason or "")
        if new.state == State.RESTARTING:
            self._metrics.on_restart(reason, charged=new.disruptions == old.disruptions)
        elif new.state == State.FAILED:
            self._metrics.on_failure(reason)

    async def _step_down(self) -> None:
        self._runs.forget_all()

    async def _resync(self) -> None:
        """Reconcile every job periodically: a safety net, since a quiet job causes no writes.

        Also list, and do so whenever kopf has listed again: its list does not show deletions.
        """
        while True:
            await self.trainingjobs.listed_again(spread(RESYNC_SECONDS, 0.8, 1.2))
            await self.trainingjobs.refresh()
            self._enqueue()

    def _enqueue(self, namespace: str | None = None) -> None:
        """Queue the jobs of a namespace, or all jobs."""
        for key in self._copies.all_keys():
            if namespace is None or names.split_key(key)[0] == namespace:
                self._queue.add(key)

    def _content(self) -> Content:
        parts: dict[str, health.Copy] = dict(self._copies.parts())
        self._metrics.observe_queue(lambda: len(self._queue))
        self._metrics.observe_leader(lambda: self._leader.is_leader)
        self._metrics.observe_jobs(lambda: health.by_state(self.trainingjobs.known()))
        self._metrics.observe_goodput(lambda: health.goodput_seconds(self.trainingjobs.readable()))
        self._metrics.observe_foreign_namespaces(lambda: len(self._claims.foreign()))
        self._metrics.observe_informer("trainingjobs", self.trainingjobs.age)
        for plural, informers in self._copies.informers.items():
            self._metrics.observe_informer(plural, informers.age)
        return Content(
            self._metrics.registry,
            healthy={"tasks": self._ended_task},
            ready={
                "api server": self._contact.problem,
                "informers": lambda: health.stale(parts),
                "synced": lambda: health.unsynced(parts),
                "namespaces": self._unserved,
            },
        )

    def _unserved(self) -> str | None:
        return health.unserved(
            self._copies.namespaces(), self._claims.foreign(), bool(self._namespaces)
        )

    def _ended_task(self) -> str | None:
        ended = [task.get_name() for task in self._tasks if task.done()]
        return f"ended: {', '.join(ended)}" if ended else None
