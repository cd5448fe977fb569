"""Puts the operator together and runs it: caches on every replica, work on the leader only."""

import asyncio
import logging
import os
import random
from dataclasses import replace
from datetime import UTC, datetime
from http import HTTPStatus

import aiohttp

from trainingjob_operator import __version__, health
from trainingjob_operator.adapters.events import EventWriter
from trainingjob_operator.adapters.http import HttpServer
from trainingjob_operator.adapters.informer import Informer
from trainingjob_operator.adapters.kube import (
    JOBS,
    PODS,
    SERVICES,
    TRAININGJOBS,
    ApiError,
    Kube,
    NotFound,
)
from trainingjob_operator.adapters.leader import LeaderElector
from trainingjob_operator.adapters.metrics import OperatorMetrics
from trainingjob_operator.adapters.proxies import environment_proxy
from trainingjob_operator.adapters.workqueue import WorkQueue
from trainingjob_operator.api import State, TrainingJob, TrainingJobStatus
from trainingjob_operator.cluster.caches import Caches
from trainingjob_operator.cluster.reconciler import Reconciler
from trainingjob_operator.cluster.trainingjobs import TrainingJobCache
from trainingjob_operator.core import contract, reasons
from trainingjob_operator.core.decode import job_view, pod_view, service_view
from trainingjob_operator.core.observe import JobView, PodView, ServiceView, owner_key
from trainingjob_operator.core.tracking_uris import TrackingUris
from trainingjob_operator.runs.clients import ClientPool
from trainingjob_operator.runs.router import RunRouter
from trainingjob_operator.runs.sweeper import Sweeper
from trainingjob_operator.settings import Settings

logger = logging.getLogger(__name__)

LEASE_NAME = "trainingjob-operator"
RESYNC_SECONDS = 600.0
# A new leader lists anew, unless it has just done so at its start.
FRESH_SECONDS = 2.0
MLFLOW_WORKERS = 2
# What is under way at the end is waited for so long: cut off, it may happen after the next leader
# has looked, who then does it again.
DRAIN_SECONDS = 3.0


class Application:
    """One replica of the operator."""

    def __init__(self, settings: Settings, kube: Kube, metrics: OperatorMetrics) -> None:
        self._settings = settings
        self._kube = kube
        self._metrics = metrics
        self._queue = WorkQueue()
        self._mlflow = ClientPool(settings, os.environ, metrics.on_mlflow_call)
        ours = f"{contract.LABEL_MANAGED_BY}={contract.MANAGED_BY}"
        # kopf fills it: see handlers.py.
        self.trainingjobs = TrainingJobCache(
            kube.source(TRAININGJOBS),
            self._queue.add,
            metrics.on_error,
            lambda job: self._caches.remember_departed(job, datetime.now(UTC)),
        )
        self._jobs: Informer[JobView] = Informer(
            kube.source(JOBS, label_selector=ours),
            job_view,
            owner_key,
            self._queue.add,
            on_error=metrics.on_error,
        )
        self._pods: Informer[PodView] = Informer(
            kube.source(PODS, label_selector=ours),
            pod_view,
            owner_key,
            self._queue.add,
            on_news=self._pod_news,
            on_gone=lambda pod: self._caches.remember_gone(pod),
            on_error=metrics.on_error,
        )
        self._services: Informer[ServiceView] = Informer(
            kube.source(SERVICES, label_selector=ours),
            service_view,
            owner_key,
            self._queue.add,
            on_gone=lambda service: self._caches.forget_service(service),
            on_error=metrics.on_error,
        )
        self._caches = Caches(self.trainingjobs, self._jobs, self._pods, self._services)
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
            LEASE_NAME,
            lease_seconds=settings.lease_seconds,
            renew_seconds=settings.lease_seconds / 3,
            on_error=metrics.on_error,
        )
        self._tasks: list[asyncio.Task[None]] = []
        self._http = self._http_server()

    @classmethod
    async def connect(cls, settings: Settings) -> "Application":
        """Log in to the API server that the pod or KUBECONFIG names."""
        metrics = OperatorMetrics(__version__)
        kube = await Kube.connect(on_request=metrics.on_request, proxy_of=environment_proxy)
        return cls(settings, kube, metrics)

    async def start(self) -> None:
        """Begin to serve, to watch and to stand for election; returns when kopf may watch."""
        await self._http.start()
        await self._served()
        work = {
            "jobs": self._jobs.run(),
            "pods": self._pods.run(),
            "services": self._services.run(),
            "resync": self._resync(),
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
        """Wait until the API server serves TrainingJobs: kopf looks only once what it serves."""
        while True:
            try:
                await self._kube.source(TRAININGJOBS).list_page(limit=1, continue_token=None)
            except ApiError as error:
                logger.warning("TrainingJobs cannot be listed, trying again: %s", error)
                await asyncio.sleep(1)
            else:
                return

    async def stop(self) -> None:
        """End what is under way, and hand the lease over at once."""
        await asyncio.gather(self._queue.drain(DRAIN_SECONDS), self._runs.drain(DRAIN_SECONDS))
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._leader.release()
        await self._http.stop()
        await self._mlflow.close()
        await self._kube.close()

    async def _lead(self) -> None:
        """The leader's work, once the caches are filled."""
        # What is missing in a copy must really be missing, or an attempt would start twice.
        await asyncio.gather(
            self.trainingjobs.refresh(),
            self._jobs.refresh(FRESH_SECONDS),
            self._pods.refresh(FRESH_SECONDS),
            self._services.refresh(FRESH_SECONDS),
        )
        uris = replace(self._settings.tracking_uris, cluster=await self._cluster_uid())
        self._enqueue_all()
        reconciler = Reconciler(
            self._kube,
            self._caches,
            self._runs,
            EventWriter(self._kube, self._settings.identity),
            uris,
            self._metrics.on_reconcile,
            self._count,
            self._metrics.on_error,
        )
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._runs.run(MLFLOW_WORKERS))
            tasks.create_task(
                self._queue.run_workers(
                    self._settings.workers, reconciler.reconcile, reconciler.report_failing
                )
            )
            if uris.cluster:
                tasks.create_task(self._sweeper(uris).run())

    async def _cluster_uid(self) -> str:
        """What tells this cluster's runs from others; "" where it may not be read."""
        while True:
            try:
                return await self._kube.cluster_uid()
            except ApiError as error:
                if error.status in (HTTPStatus.FORBIDDEN, HTTPStatus.NOT_FOUND):
                    logger.warning("runs without a job will not be looked for: %s", error)
                    return ""
                logger.warning("the namespace kube-system cannot be read: %s", error)
                await asyncio.sleep(1)

    def _sweeper(self, uris: TrackingUris) -> Sweeper:
        all_uris = (uris.default_uri, *sorted(uris.allowed_uris - {uris.default_uri}))
        closed = self._metrics.orphaned_runs.inc
        return Sweeper(
            self._mlflow,
            all_uris,
            uris.cluster,
            self._lookup,
            self._caches.guarded,
            closed,
            self._metrics.on_error,
        )

    def _pod_news(self, pod: PodView) -> None:
        """An end goes before the starts of other jobs: it is what people and programs wait for."""
        if not pod.live:
            self._queue.add(owner_key(pod), urgent=True)

    async def _lookup(self, namespace: str, name: str) -> TrainingJob | None:
        try:
            found = await self._kube.get(TRAININGJOBS, namespace, name)
        except NotFound:
            return None
        return TrainingJob.model_validate(found)

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
        """Look at every job now and then: a safety net, since a quiet job causes no writes.

        And list, also when kopf has listed anew: its list does not say what was deleted.
        """
        while True:
            jitter = random.uniform(0.8, 1.2)  # noqa: S311 - not a secret
            await self.trainingjobs.listed_again(RESYNC_SECONDS * jitter)
            await self.trainingjobs.refresh()
            self._enqueue_all()

    def _enqueue_all(self) -> None:
        """All jobs, and those that are gone but for a Job that our finalizer keeps."""
        held = {owner_key(child) for child in self._jobs.items() if child.held}
        for key in held.union(self.trainingjobs):
            self._queue.add(key)

    def _http_server(self) -> HttpServer:
        copies: dict[str, health.Copy] = {
            "trainingjobs": self.trainingjobs,
            "jobs": self._jobs,
            "pods": self._pods,
            "services": self._services,
        }
        self._metrics.observe_queue(lambda: len(self._queue))
        self._metrics.observe_leader(lambda: self._leader.is_leader)
        self._metrics.observe_jobs(lambda: health.by_state(self.trainingjobs.readable()))
        self._metrics.observe_goodput(lambda: health.goodput_seconds(self.trainingjobs.readable()))
        for name, copy in copies.items():
            self._metrics.observe_informer(name, copy.age)
        return HttpServer(
            self._settings.http_host,
            self._settings.http_port,
            registry=self._metrics.registry,
            healthy={"tasks": self._ended_task, "informers": lambda: health.stale(copies)},
            ready={
                "informers": lambda: health.stale(copies),
                "synced": lambda: health.unsynced(copies),
            },
        )

    def _ended_task(self) -> str | None:
        ended = [task.get_name() for task in self._tasks if task.done()]
        return f"ended: {', '.join(ended)}" if ended else None
