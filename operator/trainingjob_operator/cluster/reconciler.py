"""The shell around decide(): reads the caches, carries the plan out, writes the status once."""

import asyncio
import logging
import time
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from typing import Protocol

from trainingjob_operator.adapters.events import EventWriter
from trainingjob_operator.adapters.kube import (
    Conflict,
    Kube,
    NotFound,
)
from trainingjob_operator.adapters.logs import log_context
from trainingjob_operator.api import TrainingJob
from trainingjob_operator.cluster.caches import Caches
from trainingjob_operator.cluster.event_reader import EventReader
from trainingjob_operator.cluster.executor import Executor, OnStored
from trainingjob_operator.cluster.refusals import Refusals, RefusedError
from trainingjob_operator.core.decide import decide
from trainingjob_operator.core.tracking_uris import TrackingUris
from trainingjob_operator.runs.router import RunRouter

logger = logging.getLogger(__name__)

# While MLflow is about to confirm a new status, the CR's status waits so long, so that one write
# tells both; MLflow being slow or down holds nothing up.
CONFIRMATION_SECONDS = 0.25


class OnReconcile(Protocol):
    """Told of each reconcile."""

    def __call__(self, result: str, seconds: float) -> None:
        """Count one reconcile."""


class Reconciler:
    """Brings one TrainingJob at a time nearer to what it ought to be."""

    def __init__(
        self,
        kube: Kube,
        caches: Caches,
        runs: RunRouter,
        events: EventWriter,
        uris: TrackingUris,
        on_reconcile: OnReconcile,
        on_stored: OnStored,
        on_error: Callable[[str], None],
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._caches = caches
        self._runs = runs
        self._uris = uris
        self._on_reconcile = on_reconcile
        self._now = now
        self._refusals = Refusals()
        self._events = EventReader(kube, on_error)
        self._executor = Executor(kube, caches, runs, events, self._refusals, on_stored)

    async def reconcile(self, key: str) -> float | None:
        """Do the next thing for a job; returns the seconds until the next look, if one is due.

        Raises:
            ApiError: the API server refused or failed; the caller tries again with back-off.
        """
        started, result = time.monotonic(), "error"
        try:
            job = self._caches.trainingjob(key)
            if job is None:
                self._caches.forget(key)
                self._runs.forget(key)
                self._executor.forget(key)
                self._refusals.forget(key)
                result = "gone"
                return None
            run = job.status.mlflow.run_id if job.status.mlflow else None
            with log_context(job=key, attempt=job.status.attempt, run=run):
                result, again = await self._reconcile(key, job)
        except asyncio.CancelledError:
            # The lease is lost, or the process ends: no fault of the job, nor of ours.
            result = "cancelled"
            raise
        else:
            return again
        finally:
            self._on_reconcile(result, time.monotonic() - started)

    async def _reconcile(self, key: str, job: TrainingJob) -> tuple[str, float | None]:
        await self._executor.resolve_doubt(key, job)
        now = self._now().replace(microsecond=0)
        events = await self._events.about(job, self._caches.observed(job), now)
        # After the read, which may take a while: what the caches have by now counts.
        observed = replace(
            self._caches.observed(job), refusal=self._refusals.known(job), events=events
        )
        run = self._runs.view(key, job.metadata.uid)
        plan = decide(job, observed, run, now, self._uris)
        if plan.run is not None:
            self._runs.want(key, plan.run)
            if plan.status is not None and self._runs.settling(key, CONFIRMATION_SECONDS):
                return "settling", CONFIRMATION_SECONDS
        if not plan.actions and plan.status is None:
            return "unchanged", plan.requeue_after
        try:
            await self._executor.carry_out(job, plan)
        except (Conflict, NotFound) as answer:
            # Our copy is older than the object, or it is gone: the informer brings the truth.
            logger.info("the object has changed meanwhile, deciding again: %s", answer)
            return "conflict", CONFIRMATION_SECONDS
        except RefusedError as answer:
            logger.warning("%s", answer)
            return "refused", self._refusals.note(job, answer.refusal)
        return "changed", 0.0
