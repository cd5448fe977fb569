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
# A look that is dear, as one at the runs of 200 jobs, is taken the more seldom: a fifth of the time
# is spent on looking at most, so that the servers have time for what is waited for.
PAUSES_FOR_LOOK = 4


def wait_for(
    what: str, condition: Callable[[], T | None], seconds: float, poll: float = POLL_SECONDS
) -> T:
    """The first truthy value of `condition`.

    Raises:
        AssertionError: `what` was not so within `seconds`, and not within PATIENCE times that
            either; the last value is told.
    """
    seconds *= PATIENCE
    deadline = time.monotonic() + seconds
    while True:
        began = time.monotonic()
        value = condition()
        if value:
            return value
        ended = time.monotonic()
        if ended > deadline:
            raise AssertionError(f"not within {seconds:g} s: {what}; last seen: {value!r}")
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
