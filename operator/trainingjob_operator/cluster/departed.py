"""TrainingJobs that are gone but have left something behind: pods, an open run.

`kubectl delete` removes a TrainingJob at once. An operator that has watched it knows its last
state; after a restart its child Jobs, which our finalizer keeps until all is done, record it.
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
    """Finds them; a new TrainingJob of the name waits until they are cleaned up."""

    def __init__(self, kube: Kube, caches: Caches, now: Callable[[], datetime]) -> None:
        self._kube = kube
        self._caches = caches
        self._now = now

    async def before(self, key: str, present: Known | None) -> TrainingJob | None:
        """A predecessor of the key's `present` object that is not cleaned up yet.

        An unreadable one that is being deleted counts as gone. The caches may be stale, so this
        asks the API server if only a Job records it. Raises ApiError.
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
        logger.warning("Job %s has outlived its TrainingJob", last.name)
        self._caches.remember_departed(owner_record.trainingjob(found, self._now()), self._now())
        return self._caches.departed(key)

    async def _owner(self, key: str) -> str:
        """The uid of the present TrainingJob of the key, "" if there is none."""
        try:
            found = await self._kube.get(TRAININGJOBS, *names.split_key(key))
        except NotFound:
            return ""
        return str(found["metadata"]["uid"])
