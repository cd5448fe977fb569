"""A local copy of one resource, kept by list and watch, decoded into slim values."""

from __future__ import annotations

import asyncio
import logging
import time
from collections import defaultdict
from contextlib import aclosing
from typing import TYPE_CHECKING, Any, Generic, Protocol, TypeVar

from trainingjob_operator.retrying import BUGS, back_off, spread

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable

logger = logging.getLogger(__name__)

T = TypeVar("T")
V = TypeVar("V")
JsonObject = dict[str, Any]
ObjectKey = tuple[str, str]

# While a page is decoded, its objects are in memory as plain JSON: 22 KB for a pod of 3 KB.
PAGE_SIZE = 200
PAGE_SECONDS = 60.0
RETRY_BASE_SECONDS = 0.2
RETRY_MAX_SECONDS = 30.0
# This many failures in a row mean an outage, after which the old version may be meaningless
# (a store restored from a backup accepts a watch from its future and sends nothing).
FAILURES_BEFORE_RELIST = 3
SHORT_WATCH_SECONDS = 1.0
GONE = 410
LOOP = "informer"


class Source(Protocol):
    """List and watch of one resource; may raise anything."""

    async def list_page(self, *, limit: int, continue_token: str | None) -> JsonObject:
        """Return one page as the API's List object."""

    def watch_lines(
        self, *, resource_version: str, timeout_seconds: int
    ) -> AsyncGenerator[JsonObject, None]:
        """Yield the API's watch events, with bookmarks, after a version."""


class WatchFailed(Exception):  # noqa: N818 - says what happened, not that it is an error
    """The server ended a watch with an error event, or before it began."""


class VersionGone(Exception):  # noqa: N818 - says what happened, not that it is an error
    """The server no longer has the changes since our version (410)."""


class Informer(Generic[T]):
    """Keeps `decode(object)` of every listed object and reports changes by owner.

    `index` returns the key of the owner of a value; a value with the owner "" is stored but never
    reported. `on_change` gets the key for every value that was added, changed or deleted, and also
    the old key of a value that changed its owner. A value that decodes to an equal one is no
    change. Before a change is reported, `on_news` gets the added or changed value, and `on_gone`
    the last value of a deleted object.

    An object that cannot be read, or a callback that raises, does not affect the others: the error
    is logged and counted by `on_error`, and the known value of the object stays.

    A watch lasts `watch_seconds` to one and a half times that, so that `age()` stays near it even
    if nothing happens, and a peer that disappeared silently is noticed.
    """

    def __init__(
        self,
        source: Source,
        decode: Callable[[JsonObject], T],
        index: Callable[[T], str],
        on_change: Callable[[str], None],
        clock: Callable[[], float] = time.monotonic,
        *,
        watch_seconds: float = 60.0,
        on_news: Callable[[T], None] = lambda _: None,
        on_gone: Callable[[T], None] = lambda _: None,
        on_error: Callable[[str], None] = lambda _: None,
    ) -> None:
        self.synced = asyncio.Event()
        self._source = source
        self._decode = decode
        self._index = index
        self._on_change = on_change
        self._on_news = on_news
        self._on_gone = on_gone
        self._on_error = on_error
        self._clock = clock
        self._watch_seconds = watch_seconds
        self._store: dict[ObjectKey, T] = {}
        self._owned: defaultdict[str, dict[ObjectKey, T]] = defaultdict(dict)
        self._version: str | None = None
        self._failures = 0
        self._contact = clock()
        self._listed_at: float | None = None
        self._refreshing = False
        self._limit: asyncio.Timeout | None = None

    def get(self, namespace: str, name: str) -> T | None:
        """Return the value of one object, None if there is none."""
        return self._store.get((namespace, name))

    def by_index(self, key: str) -> tuple[T, ...]:
        """Return the values of one owner, in no particular order."""
        owned = self._owned.get(key)
        return tuple(owned.values()) if owned else ()

    def items(self) -> tuple[T, ...]:
        """Return all values."""
        return tuple(self._store.values())

    def age(self) -> float:
        """Return the seconds since the server last sent anything."""
        return self._clock() - self._contact

    async def refresh(self, seconds: float) -> None:
        """Wait for a list that is not older than `seconds`, listing again if there is none.

        A watch that died silently looks like one that has nothing to report.
        """
        old = self._listed_at is None or self._clock() - self._listed_at > seconds
        if old and self.synced.is_set():
            self.synced.clear()
            self._refreshing = True
            if self._limit is not None:
                self._limit.reschedule(asyncio.get_running_loop().time())
        await self.synced.wait()

    async def run(self) -> None:
        """List and watch until cancelled; any other failure is logged and retried."""
        while True:
            try:
                if self._version is None or self._refreshing:
                    self._version = await self._relist()
                await self._watch_until_refresh(self._version)
            except VersionGone as error:
                logger.info("listing again: %s", error)
                self._version = None
                await self._back_off()
            except Exception as error:
                logger.warning(
                    "list or watch failed, retrying: %s: %s",
                    type(error).__name__,
                    error,
                    exc_info=isinstance(error, BUGS),
                )
                self._on_error(LOOP)
                await self._back_off()

    async def _back_off(self) -> None:
        self._failures += 1
        if self._failures >= FAILURES_BEFORE_RELIST:
            self._version = None
        await asyncio.sleep(back_off(self._failures, RETRY_BASE_SECONDS, RETRY_MAX_SECONDS))

    def _touch(self) -> None:
        self._contact = self._clock()

    async def _relist(self) -> str:
        """Replace the copy by a fresh list, reporting the differences; return its version."""
        listed: dict[ObjectKey, T] = {}
        started = self._clock()
        token: str | None = None
        while True:
            async with asyncio.timeout(PAGE_SECONDS):
                page = await self._source.list_page(limit=PAGE_SIZE, continue_token=token)
            self._touch()
            for item in page.get("items") or ():
                if (read := self._read(item)) is not None:
                    listed[read[0]] = read[1]
            token = page["metadata"].get("continue")
            if not token:
                break
        for key in self._store.keys() - listed.keys():
            self._forget(key)
        for key, value in listed.items():
            self._put(key, value)
        self._listed_at, self._refreshing = started, False
        self.synced.set()
        return str(page["metadata"]["resourceVersion"])

    async def _watch_until_refresh(self, version: str) -> None:
        try:
            await self._watch(version)
        except TimeoutError:
            if not self._refreshing:
                raise
        finally:
            self._limit = None

    async def _watch(self, version: str) -> None:
        """Follow one watch to its end, keeping the version reached."""
        started, received = self._clock(), False
        seconds = max(1, round(spread(self._watch_seconds, 1.0, 1.5)))
        stream = self._source.watch_lines(resource_version=version, timeout_seconds=seconds)
        async with asyncio.timeout(seconds + self._watch_seconds / 4) as self._limit:
            async with aclosing(stream):
                async for event in stream:
                    self._apply(event)
                    self._touch()
                    self._failures = 0
                    received = True
        if not received and self._clock() - started < SHORT_WATCH_SECONDS:
            raise WatchFailed("the server closed the watch at once")
        self._touch()
        self._failures = 0

    def _apply(self, event: JsonObject) -> None:
        """Process an event; one that cannot be read is skipped.

        Raises:
            VersionGone, WatchFailed: the event says so.
        """
        try:
            kind, item = event["type"], event["object"]
            if kind == "ERROR":
                raise _refusal(item)
            if kind == "DELETED":
                self._forget(_key(item))
            elif kind != "BOOKMARK" and (read := self._read(item)) is not None:
                self._put(*read)
            self._version = item["metadata"]["resourceVersion"]
        except BUGS:
            logger.exception("cannot read an event of a watch")
            self._on_error(LOOP)

    def _read(self, item: JsonObject) -> tuple[ObjectKey, T] | None:
        """Decode an object; one that cannot be decoded must not affect the others."""
        key: ObjectKey = ("", "")
        try:
            key = _key(item)
            value = self._decode(item)
            self._index(value)
        except Exception:
            logger.exception("cannot decode %s/%s, keeping its last known value", *key)
            self._on_error(LOOP)
            known = self._store.get(key)
            return None if known is None else (key, known)
        else:
            return key, value

    def _put(self, key: ObjectKey, value: T) -> None:
        old = self._store.get(key)
        if old == value:
            return
        owner = self._index(value)
        if old is not None and self._index(old) != owner:
            self._remove(key)
        self._store[key] = value
        if owner:
            self._owned[owner][key] = value
            self._notify(self._on_news, value)
            self._notify(self._on_change, owner)

    def _forget(self, key: ObjectKey) -> None:
        value = self._store.get(key)
        if value is not None:
            self._notify(self._on_gone, value)
        self._remove(key)

    def _remove(self, key: ObjectKey) -> None:
        old = self._store.pop(key, None)
        owner = "" if old is None else self._index(old)
        if not owner:
            return
        owned = self._owned[owner]
        owned.pop(key, None)
        if not owned:
            del self._owned[owner]
        self._notify(self._on_change, owner)

    def _notify(self, callback: Callable[[V], None], value: V) -> None:
        try:
            callback(value)
        except Exception:
            logger.exception("cannot report a change of %r", value)
            self._on_error(LOOP)


def _refusal(status: JsonObject) -> Exception:
    """What an ERROR event of the server means."""
    if status.get("code") == GONE:
        return VersionGone(status.get("message", "the version is gone"))
    return WatchFailed(f"{status.get('code')}: {status.get('message')}")


def _key(item: JsonObject) -> ObjectKey:
    metadata = item["metadata"]
    return metadata.get("namespace", ""), metadata["name"]
