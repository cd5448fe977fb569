"""TrainingJobs that this release cannot read: reported in a condition, otherwise not touched."""

import logging
from collections.abc import Callable
from datetime import datetime
from typing import Any

from trainingjob_operator.adapters.kube import TRAININGJOBS, Conflict, Kube, NotFound
from trainingjob_operator.api import MESSAGE_LIMIT, Condition
from trainingjob_operator.cluster.trainingjobs import Unreadable
from trainingjob_operator.core import conditions

logger = logging.getLogger(__name__)

REASON = "UnreadableField"
AGAIN_SECONDS = 5.0


class UnreadableJobs:
    """Reports them. After a deletion, the record in its Jobs is enough to clean up."""

    def __init__(self, kube: Kube, now: Callable[[], datetime]) -> None:
        self._kube = kube
        self._now = now

    async def reconcile(self, job: Unreadable) -> tuple[str, float | None]:
        """Reconcile one; returns the result's name, and the seconds until the next reconcile.

        Raises:
            ApiError: the API server refused or failed.
        """
        try:
            if job.metadata.deletion_timestamp is None:
                await self._report(job)
        except (Conflict, NotFound) as answer:
            # Our copy is older than the object, or the object is gone: the watch will show it.
            logger.info("the object has changed meanwhile: %s", answer)
            return "conflict", AGAIN_SECONDS
        return "unreadable", None

    async def _report(self, job: Unreadable) -> None:
        """Store the condition once; the other conditions stay as they are, undecoded."""
        new = self._condition(job)
        old = next((one for one in job.conditions if one.get("type") == new["type"]), {})
        if all(old.get(field) == new[field] for field in ("status", "reason", "message")):
            return
        logger.warning("%s", new["message"])
        others = [one for one in job.conditions if one.get("type") != new["type"]]
        if old.get("status") == new["status"]:
            new["lastTransitionTime"] = old.get("lastTransitionTime", new["lastTransitionTime"])
        body = {
            "metadata": {"resourceVersion": job.metadata.resource_version},
            "status": {"conditions": [*others, new]},
        }
        await self._kube.patch(
            TRAININGJOBS, job.metadata.namespace, job.metadata.name, body, subresource="status"
        )

    def _condition(self, job: Unreadable) -> dict[str, Any]:
        message = (
            f"this release of the operator cannot read {job.problem}. It does not touch the job, "
            "its pods or its run until a release runs that can: find the one that wrote the field"
        )
        return Condition(
            type=conditions.READABLE,
            status="False",
            reason=REASON,
            message=message[:MESSAGE_LIMIT],
            observed_generation=job.metadata.generation,
            last_transition_time=self._now(),
        ).model_dump(mode="json", by_alias=True, exclude_none=True)
