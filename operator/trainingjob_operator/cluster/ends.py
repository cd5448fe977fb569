"""The writes that end pods and Jobs; each is safe to repeat, and a missing object has ended."""

import logging

from trainingjob_operator.adapters.kube import JOBS, PODS, Kube, NotFound
from trainingjob_operator.cluster.caches import Caches
from trainingjob_operator.core import contract
from trainingjob_operator.core.intent import Action, ActionKind

logger = logging.getLogger(__name__)

# The deadline has already passed, so the kubelet or the Job controller ends it now.
NOW = {"spec": {"activeDeadlineSeconds": 1}}


class Ends:
    """Ends what belongs to TrainingJobs; the caches get what was written."""

    def __init__(self, kube: Kube, caches: Caches) -> None:
        self._kube = kube
        self._caches = caches

    async def carry_out(self, namespace: str, action: Action) -> None:
        """Do one action; raises ApiError."""
        match action.kind:
            case ActionKind.DELETE_JOB:
                # Foreground: the Job disappears only after its pods, whatever our cache has.
                await self._kube.delete(
                    JOBS, namespace, action.name, uid=action.uid, propagation="Foreground"
                )
                self._caches.remember_deleted(action.uid)
            case ActionKind.RELEASE_JOB:
                await self._release(namespace, action.name, action.uid)
            case ActionKind.END_JOB:
                await self._kube.patch(JOBS, namespace, action.name, NOW)
                self._caches.remember_ended(namespace, action.name)
            case ActionKind.END_POD:
                await self._end_pod(namespace, action.name)
            case ActionKind.DELETE_POD:
                await self._kube.delete(PODS, namespace, action.name)

    async def _end_pod(self, namespace: str, name: str) -> None:
        try:
            await self._kube.patch(PODS, namespace, name, NOW)
        except NotFound:
            logger.info("pod %s is gone already", name)
        self._caches.remember_ended(namespace, name)

    async def _release(self, namespace: str, name: str, uid: str) -> None:
        """Remove our finalizer from the Job of this uid, not from another one of its name."""
        gone = {"$deleteFromPrimitiveList/finalizers": [contract.ATTEMPT_FINALIZER]}
        body = {"metadata": {"uid": uid, **gone}}
        try:
            await self._kube.patch(JOBS, namespace, name, body, strategic=True)
        except NotFound:
            logger.info("Job %s is gone already", name)
        self._caches.remember_freed(uid)
