"""The shell around decide(): reads the caches, carries the plan out, writes the status once."""

import asyncio
import logging
import time
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from typing import Protocol

from trainingjob_operator.adapters.events import EventWriter, Subject
from trainingjob_operator.adapters.kube import (
    Conflict,
    Kube,
    NotFound,
)
from trainingjob_operator.adapters.logs import log_context
from trainingjob_operator.api import State, TrainingJob
from trainingjob_operator.cluster.caches import Caches
from trainingjob_operator.cluster.departed import DepartedJobs
from trainingjob_operator.cluster.event_reader import EventReader
from trainingjob_operator.cluster.executor import Executor, OnStored
from trainingjob_operator.cluster.memory import Memory
from trainingjob_operator.cluster.refusals import Refusals, RefusedError
from trainingjob_operator.cluster.runtimes import Runtimes
from trainingjob_operator.cluster.trainingjobs import Unreadable
from trainingjob_operator.cluster.unreadable import UnreadableJobs
from trainingjob_operator.core import names
from trainingjob_operator.core.decide import TERMINATING_RECHECK, decide
from trainingjob_operator.core.hardening import PodDefaults
from trainingjob_operator.core.intent import EventIntent, Plan
from trainingjob_operator.core.policies import deleting
from trainingjob_operator.core.tracking_uris import TrackingUris
from trainingjob_operator.runs.router import RunRouter

logger = logging.getLogger(__name__)

# While MLflow is about to confirm a new status, the status of the TrainingJob waits this long, so
# that one write records both; a slow MLflow or an outage delays nothing.
CONFIRMATION_SECONDS = 0.25
# An end costs MLflow two calls. With this, two in three of 300 jobs at once store their end in one
# write; half a second would save another tenth of the writes and delay every end by as much.
END_CONFIRMATION_SECONDS = 0.3
# A watch brings back what was written to Jobs, pods and Services, and with it the next reconcile.
# This long after the write it comes without the watch.
ECHO_SECONDS = 5.0
# Seconds after which a deletion that still waits is reported again.
REPORTED_SECONDS = 600.0
RECONCILE_FAILED = "ReconcileFailed"


# The states that say that something ended an attempt.
BAD_ENDS = (State.FAILED, State.RESTARTING)


class OnReconcile(Protocol):
    """Notified of each reconcile."""

    def __call__(self, result: str, seconds: float) -> None:
        """Count one reconcile."""


class Reconciler:
    """Brings one TrainingJob at a time closer to its desired state."""

    def __init__(
        self,
        kube: Kube,
        caches: Caches,
        runtimes: Runtimes,
        runs: RunRouter,
        events: EventWriter,
        uris: TrackingUris,
        defaults: PodDefaults,
        on_reconcile: OnReconcile,
        on_stored: OnStored,
        on_error: Callable[[str], None],
        serves: Callable[[str], bool],
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._caches = caches
        self._runtimes = runtimes
        self._runs = runs
        self._events = events
        self._uris = uris
        self._defaults = defaults
        self._on_reconcile = on_reconcile
        self._serves = serves
        self._now = now
        self._refusals = Refusals()
        self._reported: Memory[tuple[str, str], None] = Memory(REPORTED_SECONDS, time.monotonic)
        self._warnings = EventReader(kube, on_error)
        self._executor = Executor(kube, caches, events, self._refusals, on_stored)
        self._unreadable = UnreadableJobs(kube, now)
        self._departed = DepartedJobs(kube, caches, now)

    async def reconcile(self, key: str) -> float | None:
        """Reconcile a job; returns the seconds until the next reconcile, if one is due.

        Raises:
            ApiError: the API server refused or failed; the caller retries with back-off.
        """
        started, result = time.monotonic(), "error"
        try:
            if not self._serves(names.split_key(key)[0]):
                # Its run also belongs to the other installation. When the Lease becomes ours, the
                # key comes back.
                self._runs.forget(key)
                result = "unserved"
                return None
            job = self._caches.trainingjob(key)
            departed = await self._departed.before(key, job)
            if departed is not None:
                with log_context(job=key, attempt=departed.status.attempt):
                    result, again = await self._clear_up(key, departed)
                return again
            if job is None:
                self._forget(key)
                result = "gone"
                return None
            if isinstance(job, Unreadable):
                self._runs.forget(key)
                with log_context(job=key):
                    result, again = await self._unreadable.reconcile(job)
                return again
            run = job.status.mlflow.run_id if job.status.mlflow else None
            with log_context(job=key, attempt=job.status.attempt, run=run):
                result, again = await self._reconcile(key, job)
        except asyncio.CancelledError:
            # The lease is lost, or the process ends: not a failure of the job or of the operator.
            result = "cancelled"
            raise
        else:
            return again
        finally:
            self._on_reconcile(result, time.monotonic() - started)

    async def _clear_up(self, key: str, job: TrainingJob) -> tuple[str, float | None]:
        """Reconcile a job that is gone."""
        result, again = await self._reconcile(key, job)
        if result == "unchanged" and again is None:
            self._caches.forget_departed(job)
            self._forget(key)
            # Another job of the same name may be waiting.
            return "gone", 0.0
        return result, again

    def _forget(self, key: str) -> None:
        self._caches.forget(key)
        self._runs.forget(key)
        self._executor.forget(key)
        self._refusals.forget(key)

    async def report_failing(self, key: str, error: Exception) -> None:
        """Report in an Event that a job fails to be reconciled again and again."""
        job = self._caches.trainingjob(key)
        if job is None:
            return
        subject = Subject(job.metadata.namespace, job.metadata.name, job.metadata.uid)
        note = f"the operator cannot reconcile this job for now and retries: {error!r}"
        attempt = 0 if isinstance(job, Unreadable) else job.status.attempt
        await self._events.write(subject, "Warning", RECONCILE_FAILED, note, attempt=attempt)

    async def _reconcile(self, key: str, job: TrainingJob) -> tuple[str, float | None]:
        await self._executor.resolve_doubt(key, job)
        now = self._now().replace(microsecond=0)
        events = await self._warnings.about(job, self._caches.observed(job), now)
        # After the read, which may take a while: the caches as they are now count.
        observed = replace(
            self._caches.observed(job),
            refusal=self._refusals.known(job),
            events=events,
            runtime=self._runtimes.of(job),
            cluster_runtimes=self._runtimes.of_cluster,
        )
        run = self._runs.view(key, job.metadata.uid)
        plan = decide(job, observed, run, now, self._uris, self._defaults)
        if _ends_badly(job, plan) and await self._executor.namespace_goes(job):
            going = replace(observed, terminating=True)
            plan = decide(job, going, run, now, self._uris, self._defaults)
        await self._report_wait(job, plan, deleting.waits_for(job, observed, run, now))
        if plan.run is not None:
            self._runs.want(key, plan.run, new=self._caches.is_new(job))
            ends = plan.run.status.terminal
            patience = END_CONFIRMATION_SECONDS if ends else CONFIRMATION_SECONDS
            if plan.status is not None and self._runs.settling(key, patience):
                return "settling", patience
        if not plan.actions and plan.status is None:
            return "unchanged", plan.requeue_after
        try:
            await self._executor.carry_out(job, plan)
        except (Conflict, NotFound) as answer:
            # Our copy is older than the object, or the object is gone: the watch will show it.
            logger.info("the object has changed meanwhile, deciding again: %s", answer)
            return "conflict", CONFIRMATION_SECONDS
        except RefusedError as answer:
            logger.warning("%s", answer)
            if await self._executor.namespace_goes(job):
                return "refused", TERMINATING_RECHECK
            return "refused", self._refusals.note(job, answer.refusal)
        if plan.status is not None:
            return "changed", 0.0
        return "changed", min(plan.requeue_after or ECHO_SECONDS, ECHO_SECONDS)

    async def _report_wait(self, job: TrainingJob, plan: Plan, event: EventIntent | None) -> None:
        """Report a pending deletion in an Event; its TrainingJob may be gone already."""
        waits = not plan.actions and plan.requeue_after is not None
        if event is None or not waits or (job.metadata.uid, event.reason) in self._reported:
            return
        self._reported.keep((job.metadata.uid, event.reason), None)
        subject = Subject(job.metadata.namespace, job.metadata.name, job.metadata.uid)
        logger.warning("%s", event.message)
        await self._events.write(
            subject, event.type, event.reason, event.message, attempt=job.status.attempt
        )


def _ends_badly(job: TrainingJob, plan: Plan) -> bool:
    """Whether the plan reports a cause for an end that the namespace's deletion may explain."""
    state = plan.status.state if plan.status is not None else None
    return state in BAD_ENDS and state != job.status.state
