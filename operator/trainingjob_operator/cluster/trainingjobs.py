"""All TrainingJobs as kopf's watch, our own lists and our own writes last showed them.

kopf delivers events in tasks of its own, one for each object, and after an expired watch it lists
again without reporting what was deleted meanwhile. So the resourceVersion decides which of two
states is newer, and a periodic list of our own shows what is gone.
"""

import asyncio
import logging
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from pydantic import ValidationError

from trainingjob_operator.api import ObjectMeta, TrainingJob
from trainingjob_operator.core import border, names, resolution
from trainingjob_operator.retrying import BUGS, back_off

logger = logging.getLogger(__name__)

JsonObject = dict[str, Any]

PAGE_SIZE = 200
RETRY_BASE_SECONDS = 0.2
RETRY_MAX_SECONDS = 10.0
LOOP = "trainingjobs"


class Lister(Protocol):
    """List of one resource; may raise anything."""

    async def list_page(self, *, limit: int, continue_token: str | None) -> JsonObject:
        """Return one page of the newest state as the API's List object."""


@dataclass(frozen=True, slots=True)
class Unreadable:
    """A TrainingJob that this release cannot read, such as one with a state of a newer release."""

    metadata: ObjectMeta
    problem: str
    conditions: tuple[JsonObject, ...]


Known = TrainingJob | Unreadable


class TrainingJobCache:
    """The newest known state of each TrainingJob; one event loop.

    `on_change` gets the key of each object that was added, changed or deleted, except by our own
    writes, which the writer knows. Values, unlike events, never go back to an older state.
    `on_gone` gets the last state of each object that is gone.
    """

    def __init__(
        self,
        lister: Lister,
        on_change: Callable[[str], None],
        on_error: Callable[[str], None],
        on_gone: Callable[[TrainingJob], None] = lambda _: None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.synced = asyncio.Event()
        self._lister = lister
        self._on_change = on_change
        self._on_error = on_error
        self._on_gone = on_gone
        self._clock = clock
        self._contact = clock()
        self._listed_again = asyncio.Event()
        self._known: dict[str, Known] = {}
        # The uids of objects that were created after our last list.
        self._created: set[str] = set()
        # The version at which an object was deleted, until a list is newer.
        self._deleted: dict[str, int] = {}
        # An object that is not newer than our last list is in that list, or is gone.
        self._floor = 0

    def get(self, key: str) -> Known | None:
        """Return one object, None if there is none."""
        return self._known.get(key)

    def known(self) -> tuple[Known, ...]:
        """Return all objects."""
        return tuple(self._known.values())

    def readable(self) -> tuple[TrainingJob, ...]:
        """Return all objects that this release can read."""
        return tuple(job for job in self._known.values() if isinstance(job, TrainingJob))

    def __iter__(self) -> Iterator[str]:
        """Iterate over the keys of all objects, as they are now."""
        return iter(tuple(self._known))

    def age(self) -> float:
        """Return the seconds since the server last sent anything to kopf."""
        return self._clock() - self._contact

    def saw_request(self, verb: str, code: int) -> None:
        """Note a request for TrainingJobs that kopf made, and the status of its answer."""
        if not 200 <= code < 300:
            return
        self._contact = self._clock()
        if verb == "watch":
            self.synced.set()
        elif verb == "list" and self.synced.is_set():
            self._listed_again.set()

    async def listed_again(self, seconds: float) -> None:
        """Wait up to `seconds` until kopf has listed again after its first watch."""
        try:
            async with asyncio.timeout(seconds):
                await self._listed_again.wait()
        except TimeoutError:
            return

    def apply(self, kind: str | None, item: JsonObject) -> None:
        """Process an event from kopf: its type, None for an object of its list, and the object."""
        self._contact = self._clock()
        self._learn(kind, item)

    def _learn(self, kind: str | None, item: JsonObject) -> None:
        try:
            key, version = _identity(item)
            if kind == "DELETED":
                self._forget(key, version, read(item))
            elif self._is_news(key, version):
                self._put(key, read(item))
                if kind == "ADDED" and self._floor:
                    self._created.add(item["metadata"]["uid"])
        except Exception:
            logger.exception("an event of a TrainingJob cannot be read")
            self._on_error(LOOP)

    def put(self, job: TrainingJob) -> None:
        """Process the answer to a write of ours."""
        key = names.key(job.metadata.namespace, job.metadata.name)
        if self._is_news(key, _version(job)):
            self._known[key] = job

    def take_created(self, uid: str) -> bool:
        """Whether an object was created after our last list; True once for each.

        A new leader lists: no operator before it can have seen such an object.
        """
        if uid not in self._created:
            return False
        self._created.discard(uid)
        return True

    async def refresh(self) -> None:
        """List until it succeeds: then anything unknown here did not exist when this began."""
        failures = 0
        while True:
            self._listed_again.clear()
            try:
                await self._list()
            except Exception as error:
                failures += 1
                logger.warning(
                    "cannot list TrainingJobs, retrying: %s: %s",
                    type(error).__name__,
                    error,
                    exc_info=isinstance(error, BUGS),
                )
                self._on_error(LOOP)
                await asyncio.sleep(back_off(failures, RETRY_BASE_SECONDS, RETRY_MAX_SECONDS))
            else:
                return

    async def _list(self) -> None:
        listed: dict[str, JsonObject | None] = {}
        token: str | None = None
        while True:
            page = await self._lister.list_page(limit=PAGE_SIZE, continue_token=token)
            version = int(page["metadata"]["resourceVersion"])
            if version < self._floor:
                self._begin_anew()
            for item in page.get("items") or ():
                self._collect(item, listed)
            token = page["metadata"].get("continue")
            if not token:
                break
        self._take(version, listed)

    def _begin_anew(self) -> None:
        """Versions have gone back, as after the restore of a backup: ours are meaningless now."""
        logger.warning("the API server's versions have gone back, forgetting all TrainingJobs")
        former = tuple(self)
        self._known.clear()
        self._deleted.clear()
        self._created.clear()
        self._floor = 0
        for key in former:
            self._on_change(key)

    def _collect(self, item: JsonObject, listed: dict[str, JsonObject | None]) -> None:
        """Keep an item only if it is new: most of a list is known already."""
        try:
            key, version = _identity(item)
        except Exception:
            logger.exception("an item of the list of TrainingJobs cannot be read")
            self._on_error(LOOP)
        else:
            listed[key] = item if self._is_news(key, version) else None

    def _take(self, version: int, listed: Mapping[str, JsonObject | None]) -> None:
        """Apply a whole list as of a version."""
        for key, known in list(self._known.items()):
            if key not in listed and _version(known) <= version:
                self._forget(key, version, known)
        for item in listed.values():
            if item is not None:
                self._learn(None, item)
        self._floor = version
        self._created.clear()
        self._deleted = {key: at for key, at in self._deleted.items() if at > version}

    def _is_news(self, key: str, version: int) -> bool:
        known = self._known.get(key)
        return version > max(
            self._floor,
            self._deleted.get(key, 0),
            0 if known is None else _version(known),
        )

    def _put(self, key: str, value: Known) -> None:
        self._known[key] = value
        self._on_change(key)

    def _forget(self, key: str, version: int, last: Known) -> None:
        """The object is gone as of a version; another of its name may have been created since."""
        known = self._known.get(key)
        if known is not None and _version(known) > version:
            return
        self._deleted[key] = max(version, self._deleted.get(key, 0))
        if self._known.pop(key, None) is not None:
            self._created.discard(last.metadata.uid)
            if isinstance(last, TrainingJob):
                self._on_gone(last)
            self._on_change(key)


def read(item: JsonObject) -> Known:
    """Decode a TrainingJob, with the spec that counts: that of its runtime and its own.

    Raises:
        pydantic.ValidationError: not even its metadata can be read.
    """
    try:
        return resolution.effective(TrainingJob.model_validate(item))
    except ValidationError as error:
        status = item.get("status")
        stored = status.get("conditions") if isinstance(status, dict) else None
        return Unreadable(
            ObjectMeta.model_validate(item["metadata"]),
            border.first_problem(error),
            tuple(stored or ()),
        )


def _identity(item: JsonObject) -> tuple[str, int]:
    metadata = item["metadata"]
    key = names.key(metadata.get("namespace", ""), metadata["name"])
    return key, int(metadata["resourceVersion"])


def _version(job: Known) -> int:
    """Resource versions of one resource compare as integers (KEP-5504)."""
    return int(job.metadata.resource_version)
