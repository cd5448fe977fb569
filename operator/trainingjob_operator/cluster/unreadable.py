"""TrainingJobs that this release cannot read: told in a condition, otherwise left alone."""

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
    """Reports them. What is left of a deleted one is cleared up by what its Jobs record."""

    def __init__(self, kube: Kube, now: Callable[[], datetime]) -> None:
        self._kube = kube
        self._now = now

    async def reconcile(self, job: Unreadable) -> tuple[str, float | None]:
        """Do the next thing; returns the result's name, and the seconds until the next look.

        Raises:
            ApiError: the API server refused or failed.
        """
        try:
            if job.metadata.deletion_timestamp is None:
                await self._report(job)
        except (Conflict, NotFound) as answer:
            # Our copy is older than the object, or it is gone: the watch brings the truth.
            logger.info("the object has changed meanwhile: %s", answer)
            return "conflict", AGAIN_SECONDS
        return "unreadable", None

    async def _report(self, job: Unreadable) -> None:
        """Store the condition once; the other conditions are kept as they are, unread."""
        told = self._condition(job)
        old = next((one for one in job.conditions if one.get("type") == told["type"]), {})
        if all(old.get(field) == told[field] for field in ("status", "reason", "message")):
            return
        logger.warning("%s", told["message"])
        others = [one for one in job.conditions if one.get("type") != told["type"]]
        if old.get("status") == told["status"]:
            told["lastTransitionTime"] = old.get("lastTransitionTime", told["lastTransitionTime"])
        body = {
            "metadata": {"resourceVersion": job.metadata.resource_version},
            "status": {"conditions": [*others, told]},
        }
        await self._kube.patch(
            TRAININGJOBS, job.metadata.namespace, job.metadata.name, body, subresource="status"
        )

    def _condition(self, job: Unreadable) -> dict[str, Any]:
        message = (
            f"this release of the operator cannot read {job.problem}. It leaves the job, its pods "
            "and its run alone until a release runs that can: see which one wrote the field"
        )
        return Condition(
            type=conditions.READABLE,
            status="False",
            reason=REASON,
            message=message[:MESSAGE_LIMIT],
            observed_generation=job.metadata.generation,
            last_transition_time=self._now(),
        ).model_dump(mode="json", by_alias=True, exclude_none=True)
