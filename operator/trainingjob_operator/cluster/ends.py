"""The writes that end pods and Jobs; each is safe to repeat, and a missing object has ended."""

import logging

from trainingjob_operator.adapters.kube import JOBS, PODS, Kube, NotFound
from trainingjob_operator.cluster.caches import Caches
from trainingjob_operator.core import contract
from trainingjob_operator.core.decode import pod_view
from trainingjob_operator.core.intent import Action, ActionKind
from trainingjob_operator.core.observe import PodView

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
                await self._end_job(namespace, action.name)
            case ActionKind.END_POD:
                await self._end_pod(namespace, action.name)
            case ActionKind.DELETE_POD:
                await self._kube.delete(PODS, namespace, action.name)

    async def _end_job(self, namespace: str, name: str) -> None:
        """End a Job that has no pod on a node.

        Its controller deletes its live pods, and with them what they did. So those that run and
        that our watch has yet to show are ended instead: the Job fails with them.
        """
        pods = await self._running_pods(namespace, name)
        for pod in pods:
            if not pod.ending:
                await self._end_pod(namespace, pod.name)
        if not pods:
            await self._kube.patch(JOBS, namespace, name, NOW)
        self._caches.remember_ended(namespace, name)

    async def _running_pods(self, namespace: str, job: str) -> list[PodView]:
        """The pods of a Job on nodes, as the API server has them now; they fit in one answer."""
        found = await self._kube.list_page(
            PODS,
            namespace=namespace,
            label_selector=f"batch.kubernetes.io/job-name={job}",
            limit=0,
            continue_token=None,
        )
        pods = [pod_view(one) for one in found["items"]]
        return [pod for pod in pods if pod.on_a_node]

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
