"""Lines that say what is going on and for how long."""

from __future__ import annotations

import sys
import threading
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

QUIET_SECONDS = 2.0
HEARTBEAT_SECONDS = 15.0


def say(message: str) -> None:
    """Print one line for the user; standard output is kept for results."""
    print(f"localcluster: {message}", file=sys.stderr, flush=True)


@contextmanager
def step(what: str) -> Iterator[None]:
    """Tell of ``what`` once it takes more than two seconds, then regularly, then its end."""
    started = time.monotonic()
    finished = threading.Event()
    shown = threading.Event()

    def heartbeat() -> None:
        wait = QUIET_SECONDS
        while not finished.wait(wait):
            shown.set()
            say(f"{what} … {time.monotonic() - started:.0f} s")
            wait = HEARTBEAT_SECONDS

    ticker = threading.Thread(target=heartbeat, name="progress", daemon=True)
    ticker.start()
    outcome = "failed"
    try:
        yield
        outcome = "done"
    finally:
        finished.set()
        ticker.join()
        if shown.is_set() or outcome == "failed":
            say(f"{what}: {outcome} after {time.monotonic() - started:.0f} s")
