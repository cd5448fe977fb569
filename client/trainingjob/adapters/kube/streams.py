"""Answers of the API server that come for as long as somebody reads them."""

import contextlib
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager


class Streams:
    """Those that threads read for one caller, who may end all of their reading.

    A thread that still waits for its server when the interpreter ends makes it abort.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._stops: list[Callable[[], None]] = []

    @contextmanager
    def reading(self, stop: Callable[[], None]) -> Iterator[None]:
        """Read an answer meanwhile; `stop` ends its reading from another thread."""
        with self._lock:
            self._stops.append(stop)
        try:
            yield
        finally:
            with self._lock:
                self._stops.remove(stop)

    def stop(self) -> None:
        """End the reading of all, which then ends as that of a broken connection does."""
        with self._lock:
            for stop in self._stops:
                # One that is over has no connection to end.
                with contextlib.suppress(OSError, RuntimeError, ValueError):
                    stop()
