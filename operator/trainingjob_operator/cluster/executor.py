"""Carries a plan out: the writes to the API server, each safe to repeat."""

import logging
from collections.abc import Callable
from http import HTTPStatus
from typing import Any

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
from trainingjob_operator.api import KIND, TrainingJob, TrainingJobStatus
from trainingjob_operator.cluster import namespaces
from trainingjob_operator.cluster.caches import Caches, key_of
from trainingjob_operator.cluster.ends import Ends
from trainingjob_operator.cluster.refusals import Refusals, RefusedError
from trainingjob_operator.core import border, contract, names, resolution
from trainingjob_operator.core import metadata as metadata_of
from trainingjob_operator.core.decode import MESSAGE_LIMIT, job_view, service_view
from trainingjob_operator.core.intent import Action, ActionKind, EventIntent, Plan
from trainingjob_operator.core.merge import merge_patch
from trainingjob_operator.core.observe import Refusal
from trainingjob_operator.core.reasons import Reason

logger = logging.getLogger(__name__)

# These do not refuse an object: login, a missing namespace, a name that is taken, throttling.
NOT_OF_THE_OBJECT = (401, 404, 409, 429)

OnStored = Callable[[TrainingJobStatus, TrainingJobStatus], None]


class Executor:
    """The writes for all jobs; the caches get the answer to each write."""

    def __init__(
        self,
        kube: Kube,
        caches: Caches,
        events: EventWriter,
        refusals: Refusals,
        on_stored: OnStored,
    ) -> None:
        self._kube = kube
        self._caches = caches
        self._events = events
        self._refusals = refusals
        self._on_stored = on_stored
        self._ends = Ends(kube, caches)
        self._doubtful: dict[str, str] = {}

    async def carry_out(self, job: TrainingJob, plan: Plan) -> None:
        """Do the actions, store the status, write the events, in this order.

        Raises:
            Conflict: our copy is older than the object.
            NotFound: the object is gone.
            RefusedError: the API server rejects an object of the attempt.
            ApiError: the API server failed; a repeat is harmless.
        """
        for action in plan.actions:
            await self._act(job, action)
        if plan.status is not None:
            await self._store(job, plan.status)
        for event in plan.events:
            await self._report(job, plan, event)

    async def _act(self, job: TrainingJob, action: Action) -> None:
        logger.info("%s", action.kind)
        match action.kind:
            case ActionKind.CREATE_SERVICE:
                await self._create_service(job, action.manifest or {})
            case ActionKind.CREATE_CLAIM:
                await self._create_claim(job, action)
            case ActionKind.CREATE_JOB:
                await self._create_job(job, action)
            case ActionKind.DELETE_TRAININGJOB:
                await self._kube.delete(TRAININGJOBS, *_place(job), uid=action.uid)
                self._caches.remember_deleted(action.uid)
            case _:
                await self._ends.carry_out(job.metadata.namespace, action)

    async def _create_service(self, job: TrainingJob, manifest: dict[str, Any]) -> None:
        """One Service serves all attempts; a Service of that name with another owner is kept.

        An orphan of an earlier TrainingJob of our name, as `kubectl delete --cascade=orphan` leaves
        it, becomes ours.
        """
        try:
            answer = await self._create(SERVICES, job.metadata.namespace, manifest)
        except Conflict:
            found = await self._kube.get(SERVICES, *_place(job))
            answer = await self._adopt_service(job, manifest, found)
        self._caches.remember_service(service_view(answer))

    async def _adopt_service(
        self, job: TrainingJob, manifest: dict[str, Any], found: dict[str, Any]
    ) -> dict[str, Any]:
        """Raises RefusedError for a Service of another owner, or one that is being deleted."""
        metadata, controller = found["metadata"], metadata_of.controller(found["metadata"])
        labels = metadata.get("labels", {})
        if controller.get("uid") == job.metadata.uid and "deletionTimestamp" not in metadata:
            return found
        ours = labels.get(contract.LABEL_MANAGED_BY) == contract.MANAGED_BY
        ours = ours and labels.get(contract.LABEL_NAME) == job.metadata.name
        if not ours or controller or "deletionTimestamp" in metadata:
            message = names.taken("Service", job.metadata.name)
            leftover = ours and controller.get("kind") == KIND
            raise RefusedError(
                Refusal(Reason.NAME_CONFLICT, message, final=False, leftover=leftover)
            )
        body = {
            "metadata": {
                "labels": manifest["metadata"]["labels"],
                "ownerReferences": manifest["metadata"]["ownerReferences"],
                "resourceVersion": metadata["resourceVersion"],
            },
            "spec": {"selector": manifest["spec"]["selector"]},
        }
        logger.info("adopting Service %s, which has no owner any more", job.metadata.name)
        return await self._kube.patch(SERVICES, *_place(job), body)

    async def _create_claim(self, job: TrainingJob, action: Action) -> None:
        """An existing claim is from our own earlier try, or the one that the job names."""
        try:
            await self._create(CLAIMS, job.metadata.namespace, action.manifest or {})
        except Conflict:
            await self._use_claim(job, (action.manifest or {})["metadata"]["name"])

    async def _use_claim(self, job: TrainingJob, name: str) -> None:
        """Raises RefusedError for a claim that is being deleted: no pod could mount it."""
        found = await self._kube.get(CLAIMS, job.metadata.namespace, name)
        if "deletionTimestamp" in found["metadata"]:
            message = (
                f"PersistentVolumeClaim {name} is being deleted: wait until it is gone, or name "
                "another one in spec.checkpoint.claimName"
            )
            raise RefusedError(Refusal(Reason.NAME_CONFLICT, message, final=False, leftover=True))
        logger.info("the claim of the checkpoints exists already")

    async def _create_job(self, job: TrainingJob, action: Action) -> None:
        """An existing Job may be from our own earlier try; decide() checks its owner."""
        namespace, manifest = job.metadata.namespace, action.manifest or {}
        name = manifest["metadata"]["name"]
        try:
            # A mistyped field of a runtime's pod template is an error, and not left out.
            strict = job.status.runtime is not None
            answer = await self._create(JOBS, namespace, manifest, strict=strict)
        except Conflict:
            answer = await self._kube.get(JOBS, namespace, name)
        except ApiError:
            self._doubtful[key_of(job)] = name
            raise
        self._refusals.forget(key_of(job))
        self._caches.remember_created(job_view(answer))

    async def _create(
        self, resource: Resource, namespace: str, manifest: dict[str, Any], *, strict: bool = False
    ) -> dict[str, Any]:
        """Raises RefusedError if the API server would reject the same object again for now."""
        try:
            return await self._kube.create(resource, namespace, manifest, strict=strict)
        except ApiError as error:
            if not 400 <= error.status < 500 or error.status in NOT_OF_THE_OBJECT:
                raise
            what = f"{manifest['kind']} {manifest['metadata']['name']}"
            final = error.status == HTTPStatus.UNPROCESSABLE_ENTITY
            reason = Reason.INVALID_SPEC if final else Reason.FAILED_CREATE
            message = border.text(f"the API server refuses {what}: {error.message}", MESSAGE_LIMIT)
            raise RefusedError(Refusal(reason, message, final)) from error

    async def namespace_goes(self, job: TrainingJob) -> bool:
        """Whether the job's namespace is being deleted, as the API server has it now."""
        return await namespaces.goes(self._kube, job.metadata.namespace)

    async def resolve_doubt(self, key: str, job: TrainingJob) -> None:
        """Read a Job whose creation had no answer: it may exist before any watch shows it."""
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

    def forget(self, key: str) -> None:
        """Drop what is known about a job that is gone."""
        self._doubtful.pop(key, None)

    async def _store(self, job: TrainingJob, status: TrainingJobStatus) -> None:
        patch = merge_patch(_wire(job.status), _wire(status))
        body: dict[str, Any] = {
            "metadata": {"resourceVersion": job.metadata.resource_version},
            "status": patch,
        }
        answer = await self._kube.patch(TRAININGJOBS, *_place(job), body, subresource="status")
        stored = resolution.effective(TrainingJob.model_validate(answer))
        self._caches.remember_trainingjob(stored)
        self._on_stored(job.status, status)
        if status.state != job.status.state:
            logger.info("%s -> %s", job.status.state or "new", status.state)

    async def _report(self, job: TrainingJob, plan: Plan, event: EventIntent) -> None:
        subject = Subject(*_place(job), job.metadata.uid)
        attempt = plan.status.attempt if plan.status else job.status.attempt
        await self._events.write(subject, event.type, event.reason, event.message, attempt=attempt)


def _place(job: TrainingJob) -> tuple[str, str]:
    return job.metadata.namespace, job.metadata.name


def _wire(status: TrainingJobStatus) -> dict[str, Any]:
    return status.model_dump(mode="json", by_alias=True, exclude_none=True)
