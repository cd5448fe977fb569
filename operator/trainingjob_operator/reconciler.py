"""The shell around decide(): reads the caches, carries the plan out, writes the status once."""

import asyncio
import logging
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from http import HTTPStatus
from typing import Any, Protocol

from trainingjob_operator.adapters.events import EventWriter, Subject
from trainingjob_operator.adapters.kube import (
    CLAIMS,
    JOBS,
    SERVICES,
    TRAININGJOBS,
    ApiError,
    Conflict,
    Kube,
    NotFound,
    Resource,
)
from trainingjob_operator.adapters.logs import log_context
from trainingjob_operator.api import TrainingJob, TrainingJobStatus
from trainingjob_operator.caches import Caches, key_of
from trainingjob_operator.core import contract, names
from trainingjob_operator.core.decide import decide
from trainingjob_operator.core.intent import Action, ActionKind, EventIntent, Plan
from trainingjob_operator.core.merge import merge_patch
from trainingjob_operator.core.observe import Refusal, job_view
from trainingjob_operator.core.reasons import Reason
from trainingjob_operator.core.servers import Servers
from trainingjob_operator.tracking import Tracking

logger = logging.getLogger(__name__)

# While MLflow is about to confirm a new status, the CR's status waits so long, so that one write
# tells both; MLflow being slow or down holds nothing up.
CONFIRMATION_SECONDS = 0.25
# No refusals of an object: login, absence of the namespace, a name that is taken, throttling.
NOT_OF_THE_OBJECT = (401, 404, 409, 429)
REFUSED_AGAIN_AT_MOST = 60.0


class OnReconcile(Protocol):
    """Told of each reconcile."""

    def __call__(self, result: str, seconds: float) -> None:
        """Count one reconcile."""


class RefusedError(Exception):
    """The API server answered that it does not take an object."""

    def __init__(self, refusal: Refusal) -> None:
        super().__init__(refusal.message)
        self.refusal = refusal


@dataclass(frozen=True, slots=True)
class _Refused:
    """The last refusal that a job's object met, and how many there were."""

    uid: str
    refusal: Refusal
    tries: int


class Reconciler:
    """Brings one TrainingJob at a time nearer to what it ought to be."""

    def __init__(
        self,
        kube: Kube,
        caches: Caches,
        tracking: Tracking,
        events: EventWriter,
        servers: Servers,
        on_reconcile: OnReconcile,
        on_stored: Callable[[TrainingJobStatus, TrainingJobStatus], None],
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._kube = kube
        self._caches = caches
        self._tracking = tracking
        self._events = events
        self._servers = servers
        self._on_reconcile = on_reconcile
        self._on_stored = on_stored
        self._now = now
        self._doubtful: dict[str, str] = {}
        self._refusals: dict[str, _Refused] = {}

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
                self._tracking.forget(key)
                self._doubtful.pop(key, None)
                self._refusals.pop(key, None)
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
        await self._resolve_doubt(key, job)
        now = self._now().replace(microsecond=0)
        known = self._known_refusal(job)
        observed = replace(
            self._caches.observed(job), refusal=known.refusal if known is not None else None
        )
        run = self._tracking.view(key, job.metadata.uid)
        plan = decide(job, observed, run, now, self._servers)
        if plan.run is not None:
            self._tracking.want(key, plan.run)
            if plan.status is not None and self._tracking.settling(key, CONFIRMATION_SECONDS):
                return "settling", CONFIRMATION_SECONDS
        if not plan.actions and plan.status is None:
            return "unchanged", plan.requeue_after
        try:
            await self._carry_out(job, plan)
        except (Conflict, NotFound) as answer:
            # Our copy is older than the object, or it is gone: the informer brings the truth.
            logger.info("the object has changed meanwhile, deciding again: %s", answer)
            return "conflict", CONFIRMATION_SECONDS
        except RefusedError as answer:
            logger.warning("%s", answer)
            return "refused", self._note_refusal(job, answer.refusal)
        return "changed", 0.0

    def _known_refusal(self, job: TrainingJob) -> _Refused | None:
        """That of the job itself, not of an earlier one of its name."""
        known = self._refusals.get(key_of(job))
        return known if known is not None and known.uid == job.metadata.uid else None

    def _note_refusal(self, job: TrainingJob, refusal: Refusal) -> float:
        """Keep it for the next decision; returns the seconds until then: none where it is news."""
        known = self._known_refusal(job)
        tries = known.tries if known is not None else 0
        self._refusals[key_of(job)] = _Refused(job.metadata.uid, refusal, tries + 1)
        news = known is None or known.refusal.reason != refusal.reason
        return 0.0 if news else min(REFUSED_AGAIN_AT_MOST, 2.0 ** min(tries, 10))

    async def _carry_out(self, job: TrainingJob, plan: Plan) -> None:
        for action in plan.actions:
            await self._act(job, action)
        if plan.status is not None:
            await self._store(job, plan.status)
        for event in plan.events:
            await self._tell(job, plan, event)

    async def _act(self, job: TrainingJob, action: Action) -> None:
        logger.info("%s", action.kind)
        match action.kind:
            case ActionKind.ADD_FINALIZER:
                await self._set_finalizers(job, [*job.metadata.finalizers, contract.FINALIZER])
                if job.status.mlflow is None:
                    self._tracking.is_new(key_of(job), job.metadata.uid)
            case ActionKind.REMOVE_FINALIZER:
                kept = [one for one in job.metadata.finalizers if one != contract.FINALIZER]
                await self._set_finalizers(job, kept)
                if not kept and job.metadata.deletion_timestamp is not None:
                    self._caches.remember_released(job.metadata.uid)
            case ActionKind.CREATE_SERVICE:
                await self._create_service(job, action)
            case ActionKind.CREATE_CLAIM:
                await self._create_claim(job, action)
            case ActionKind.CREATE_JOB:
                await self._create_job(job, action)
            case ActionKind.DELETE_JOB:
                namespace = job.metadata.namespace
                # Foreground: the Job is gone only when its pods are, whatever our cache has.
                await self._kube.delete(
                    JOBS, namespace, action.name, uid=action.uid, propagation="Foreground"
                )
                self._caches.remember_deleted(action.uid)
            case ActionKind.DELETE_TRAININGJOB:
                await self._kube.delete(TRAININGJOBS, *_place(job), uid=action.uid)
                self._caches.remember_deleted(action.uid)

    async def _set_finalizers(self, job: TrainingJob, finalizers: list[str]) -> None:
        version = job.metadata.resource_version
        metadata = {"finalizers": finalizers, "resourceVersion": version}
        answer = await self._kube.patch(TRAININGJOBS, *_place(job), {"metadata": metadata})
        self._caches.remember_trainingjob(TrainingJob.model_validate(answer))

    async def _create_service(self, job: TrainingJob, action: Action) -> None:
        """One Service serves all attempts; one of that name and another owner is left alone."""
        namespace = job.metadata.namespace
        try:
            found = await self._kube.get(SERVICES, namespace, job.metadata.name)
        except NotFound:
            await self._create(SERVICES, namespace, action.manifest or {})
            return
        owner = found["metadata"].get("labels", {}).get(contract.LABEL_UID)
        if owner is None:
            taken = names.taken("Service", job.metadata.name)
            raise RefusedError(Refusal(Reason.NAME_CONFLICT, taken, final=True))
        if owner != job.metadata.uid:
            # That of an earlier TrainingJob goes by itself.
            raise Conflict(409, "AlreadyExists", f"Service {job.metadata.name} is not ours")

    async def _create_claim(self, job: TrainingJob, action: Action) -> None:
        """The job's uid is in the name: one of that name is a repeat of ours."""
        try:
            await self._create(CLAIMS, job.metadata.namespace, action.manifest or {})
        except Conflict:
            logger.info("the claim of the checkpoints is there already")

    async def _create_job(self, job: TrainingJob, action: Action) -> None:
        """A Job of that name may be a repeat of ours; decide() looks at whose it is."""
        namespace, manifest = job.metadata.namespace, action.manifest or {}
        name = manifest["metadata"]["name"]
        try:
            answer = await self._create(JOBS, namespace, manifest)
        except Conflict:
            answer = await self._kube.get(JOBS, namespace, name)
        except ApiError:
            self._doubtful[key_of(job)] = name
            raise
        self._refusals.pop(key_of(job), None)
        self._caches.remember_created(job_view(answer))

    async def _create(
        self, resource: Resource, namespace: str, manifest: dict[str, Any]
    ) -> dict[str, Any]:
        """Raises RefusedError where the same object would be refused again for now."""
        try:
            return await self._kube.create(resource, namespace, manifest)
        except ApiError as error:
            if not 400 <= error.status < 500 or error.status in NOT_OF_THE_OBJECT:
                raise
            what = f"{manifest['kind']} {manifest['metadata']['name']}"
            final = error.status == HTTPStatus.UNPROCESSABLE_ENTITY
            reason = Reason.INVALID_SPEC if final else Reason.FAILED_CREATE
            message = f"the API server refuses {what}: {error.message}"
            raise RefusedError(Refusal(reason, message, final)) from error

    async def _resolve_doubt(self, key: str, job: TrainingJob) -> None:
        """Ask for a Job whose creation had no answer: it may be there before any watch tells."""
        name = self._doubtful.get(key)
        if name is None:
            return
        try:
            found = await self._kube.get(JOBS, job.metadata.namespace, name)
        except NotFound:
            logger.info("Job %s was not created", name)
        else:
            self._caches.remember_created(job_view(found))
        self._doubtful.pop(key, None)

    async def _store(self, job: TrainingJob, status: TrainingJobStatus) -> None:
        patch = merge_patch(_wire(job.status), _wire(status))
        body: dict[str, Any] = {
            "metadata": {"resourceVersion": job.metadata.resource_version},
            "status": patch,
        }
        answer = await self._kube.patch(TRAININGJOBS, *_place(job), body, subresource="status")
        self._caches.remember_trainingjob(TrainingJob.model_validate(answer))
        self._on_stored(job.status, status)
        if status.state != job.status.state:
            logger.info("%s -> %s", job.status.state or "new", status.state)

    async def _tell(self, job: TrainingJob, plan: Plan, event: EventIntent) -> None:
        subject = Subject(*_place(job), job.metadata.uid)
        attempt = plan.status.attempt if plan.status else job.status.attempt
        await self._events.write(subject, event.type, event.reason, event.message, attempt=attempt)


def _place(job: TrainingJob) -> tuple[str, str]:
    return job.metadata.namespace, job.metadata.name


def _wire(status: TrainingJobStatus) -> dict[str, Any]:
    return status.model_dump(mode="json", by_alias=True, exclude_none=True)
