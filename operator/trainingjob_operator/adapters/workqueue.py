"""A queue of keys: one worker per key at a time, repeats merged, delays and back-off by key."""

from __future__ import annotations

import asyncio
import heapq
import itertools
import logging
import random
import time
from typing import TYPE_CHECKING

from trainingjob_operator.retrying import back_off

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from trainingjob_operator.retrying import Uniform

    # Gets a key and how handling it failed.
    OnFailing = Callable[[str, Exception], Awaitable[None]]

logger = logging.getLogger(__name__)

BACKOFF_BASE_SECONDS = 0.1
BACKOFF_MAX_SECONDS = 60.0
# Workers for urgent keys only, per worker that takes any key. Concurrent work shares the servers'
# processors: with more workers 500 starts at once take longer, and an end in the middle of them
# waits for seconds.
URGENT_WORKERS = 3
# This many failures in a row are reported, once.
FAILURES_BEFORE_REPORT = 3

Entry = tuple[bool, int, str]


class WorkQueue:
    """Keys to work on, for one event loop.

    A key added while it waits is there once; one added while it is worked on comes again after
    done(). Nothing here is stored: at a restart the informers' first list fills it.
    """

    def __init__(
        self,
        clock: Callable[[], float] = time.monotonic,
        uniform: Uniform = random.uniform,
        *,
        backoff_max: float = BACKOFF_MAX_SECONDS,
    ) -> None:
        self._clock = clock
        self._backoff_max = backoff_max
        self._uniform = uniform
        self._ready: asyncio.PriorityQueue[Entry] = asyncio.PriorityQueue()
        self._urgent: asyncio.Queue[Entry] = asyncio.Queue()
        self._sequence = itertools.count()
        self._dirty: dict[str, bool] = {}
        self._working: dict[str, bool] = {}
        self._due: dict[str, tuple[float, str, bool]] = {}
        self._timetable: list[tuple[float, str, bool]] = []
        self._timer: asyncio.TimerHandle | None = None
        self._failures: dict[str, int] = {}
        self._idle: asyncio.Event | None = None

    def __len__(self) -> int:
        """Return how many keys are ready and wait for a worker."""
        return len(self._dirty.keys() - self._working)

    def add(self, key: str, *, urgent: bool = False) -> None:
        """Request work on a key as soon as a worker is free and none works on the key.

        Urgent keys come before the others; each kind is served in the order of addition.
        """
        if self._dirty.get(key, False) or (key in self._dirty and not urgent):
            return
        self._dirty[key] = urgent
        if key not in self._working:
            self._make_ready(key)

    def _make_ready(self, key: str) -> None:
        urgent = self._dirty[key]
        entry = (not urgent, next(self._sequence), key)
        self._ready.put_nowait(entry)
        if urgent:
            self._urgent.put_nowait(entry)

    def add_after(self, key: str, seconds: float, *, urgent: bool = False) -> None:
        """Request work on a key after a delay.

        Of several delays the earliest end counts; the key is urgent if any of them is.
        """
        if seconds <= 0:
            self.add(key, urgent=urgent)
            return
        entry = (self._clock() + seconds, key, urgent)
        known = self._due.get(key)
        if known is not None:
            # The earlier request is often about something else than the urgent one.
            entry = (min(entry[0], known[0]), key, urgent or known[2])
            if entry == known:
                return
        self._due[key] = entry
        heapq.heappush(self._timetable, entry)
        self._set_timer()

    def add_rate_limited(self, key: str) -> None:
        """Request work after a delay that doubles with every call until forget()."""
        failures = self._failures.get(key, 0)
        self._failures[key] = failures + 1
        # Keys that failed together should not all come back together.
        delay = back_off(failures, BACKOFF_BASE_SECONDS, self._backoff_max, self._uniform)
        self.add_after(key, delay)

    def forget(self, key: str) -> None:
        """Reset the delay of add_rate_limited for a key."""
        self._failures.pop(key, None)

    async def get(self, *, only_urgent: bool = False) -> str:
        """Wait for a key and take it; the caller must call done() with it.

        That cancels an earlier delay: the worker requests the next one.
        """
        self.release_due()
        ready = self._urgent if only_urgent else self._ready
        while True:
            _, _, key = await ready.get()
            if self._idle is not None:
                await asyncio.Future()  # drained: no more keys are handed out
            # An urgent key is in both queues, and a key that became urgent while it waited is twice
            # in one: the first occurrence counts.
            if key in self._working or key not in self._dirty:
                continue
            if self._dirty[key] or not only_urgent:
                break
        due = self._due.pop(key, None)
        self._working[key] = self._dirty.pop(key) or (due is not None and due[2])
        return key

    def done(self, key: str) -> None:
        """Give a key back; it comes again at once if it was added meanwhile."""
        self._working.pop(key, None)
        if key in self._dirty:
            self._make_ready(key)
        if self._idle is not None and not self._working:
            self._idle.set()

    async def drain(self, seconds: float) -> None:
        """Hand out no more keys, and wait up to `seconds` for those that are worked on."""
        self._idle = asyncio.Event()
        if not self._working:
            return
        try:
            async with asyncio.timeout(seconds):
                await self._idle.wait()
        except TimeoutError:
            logger.warning("not done after %g s: %s", seconds, ", ".join(sorted(self._working)))

    def release_due(self) -> None:
        """Make the keys ready whose delay is over."""
        now = self._clock()
        while self._timetable and self._timetable[0][0] <= now:
            entry = _, key, urgent = heapq.heappop(self._timetable)
            # An entry that a later, shorter delay has replaced is no longer the key's own.
            if self._due.get(key) == entry:
                del self._due[key]
                self.add(key, urgent=urgent)
        self._set_timer()

    async def run_workers(
        self,
        count: int,
        handle: Callable[[str], Awaitable[float | None]],
        on_failing: OnFailing | None = None,
    ) -> None:
        """Work on keys with `count` workers, and more for urgent keys only, until cancelled.

        `handle` returns the seconds after which it wants the key again, or None; that resets the
        key's back-off, unless `handle` has called add_rate_limited for it. A key that was urgent
        comes back as urgent: the urgent part may not be done yet. A key whose handling raises is
        logged and comes back with back-off; one whose handling is cancelled stays in the queue for
        workers that may be started later. `on_failing` is awaited once for each series of failures
        of a key, at the third.
        """
        async with asyncio.TaskGroup() as workers:
            for number in range(count * (1 + URGENT_WORKERS)):
                workers.create_task(self._work(handle, on_failing, only_urgent=number >= count))

    async def _work(
        self,
        handle: Callable[[str], Awaitable[float | None]],
        on_failing: OnFailing | None,
        *,
        only_urgent: bool,
    ) -> None:
        while True:
            key = await self.get(only_urgent=only_urgent)
            failures = self._failures.get(key, 0)
            try:
                seconds = await handle(key)
            except asyncio.CancelledError:
                self.add(key)
                raise
            except Exception as error:
                logger.exception("work on %s failed, retrying later", key)
                self.add_rate_limited(key)
                if on_failing is not None and failures + 1 == FAILURES_BEFORE_REPORT:
                    await self._report(on_failing, key, error)
            else:
                if self._failures.get(key, 0) == failures:
                    self.forget(key)
                if seconds is not None:
                    self.add_after(key, seconds, urgent=self._working[key])
            finally:
                self.done(key)

    async def _report(self, on_failing: OnFailing, key: str, error: Exception) -> None:
        try:
            await on_failing(key, error)
        except Exception:
            logger.exception("cannot report the failures of %s", key)

    def _set_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._timetable:
            wait = max(0.0, self._timetable[0][0] - self._clock())
            self._timer = asyncio.get_running_loop().call_later(wait, self.release_due)
