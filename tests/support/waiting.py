"""Waiting on conditions with a deadline; tests never sleep for a time that they hope is enough."""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TypeVar

T = TypeVar("T")

POLL_SECONDS = 0.2
# A shared machine may be that much slower than the one on which a deadline was chosen: the tests
# wait the longer there, and say nothing else.
PATIENCE = 5
# A wait ends before the test itself is ended, which says nothing of what was last seen.
MARGIN_SECONDS = 15.0
# A look that is dear, as one at the runs of 200 jobs, is taken the more seldom: a fifth of the time
# is spent on looking at most, so that the servers have time for what is waited for.
PAUSES_FOR_LOOK = 4


class _Test:
    """The test that runs: when it is ended (time.monotonic)."""

    ends_at: float = float("inf")


def begin_test(timeout_seconds: float) -> None:
    """Note that a test begins, and how long it may take; no wait lasts longer."""
    _Test.ends_at = time.monotonic() + timeout_seconds - MARGIN_SECONDS


def wait_for(
    what: str, condition: Callable[[], T | None], seconds: float, poll: float = POLL_SECONDS
) -> T:
    """The first truthy value of `condition`.

    Raises:
        AssertionError: `what` was not so within `seconds`, and not within PATIENCE times that
            either, or until the test's own time is nearly over; with the last value.
    """
    start = time.monotonic()
    deadline = min(start + seconds * PATIENCE, _Test.ends_at)
    while True:
        began = time.monotonic()
        value = condition()
        if value:
            return value
        ended = time.monotonic()
        if ended > deadline:
            waited = f"{ended - start:.0f} s"
            raise AssertionError(f"not within {waited}: {what}; last seen: {value!r}")
        time.sleep(max(poll, PAUSES_FOR_LOOK * (ended - began)))


@contextmanager
def beside(follow: Callable[[threading.Event], None]) -> Iterator[None]:
    """Run `follow` in a thread beside the body; the event that it gets says when to return."""
    ended = threading.Event()
    thread = threading.Thread(target=follow, args=(ended,), daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()
