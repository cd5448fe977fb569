"""TrainingJobs that are gone while something of them is left: pods, a run that is open.

`kubectl delete` takes a TrainingJob away at once. Who has watched it knows its last state; after a
restart its child Jobs record it, which our finalizer keeps until all is done.
"""

import logging
from collections.abc import Callable
from datetime import datetime

from trainingjob_operator.adapters.kube import JOBS, TRAININGJOBS, Kube, NotFound
from trainingjob_operator.api import TrainingJob
from trainingjob_operator.cluster.caches import Caches
from trainingjob_operator.cluster.trainingjobs import Known, Unreadable
from trainingjob_operator.core import names, owner_record

logger = logging.getLogger(__name__)


class DepartedJobs:
    """Finds them; a new TrainingJob of the name waits until they are done with."""

    def __init__(self, kube: Kube, caches: Caches, now: Callable[[], datetime]) -> None:
        self._kube = kube
        self._caches = caches
        self._now = now

    async def before(self, key: str, present: Known | None) -> TrainingJob | None:
        """One that was there before the `present` object of the key, and is not done with.

        An unreadable one that is being deleted counts as gone. The caches may be behind, so the
        API server is asked where only a Job records it. Raises ApiError.
        """
        known = self._caches.departed(key)
        if known is not None:
            return known
        goes = isinstance(present, Unreadable) and present.metadata.deletion_timestamp is not None
        kept = "" if present is None or goes else present.metadata.uid
        leftovers = self._caches.leftovers(key, kept)
        if not leftovers:
            return None
        owner = "" if goes else await self._owner(key)
        orphans = [child for child in leftovers if child.owner_uid != owner]
        if not orphans:
            return None
        last = max(orphans, key=lambda child: child.created_at or self._now())
        try:
            found = await self._kube.get(JOBS, last.namespace, last.name)
        except NotFound:
            self._caches.remember_freed(last.uid)
            return None
        logger.warning("Job %s was left behind by its TrainingJob", last.name)
        self._caches.remember_departed(owner_record.trainingjob(found, self._now()), self._now())
        return self._caches.departed(key)

    async def _owner(self, key: str) -> str:
        """The uid of the TrainingJob that the key has now, "" without one."""
        try:
            found = await self._kube.get(TRAININGJOBS, *names.split_key(key))
        except NotFound:
            return ""
        return str(found["metadata"]["uid"])
