"""How long to wait before the next try, and how often to log that."""

import logging
import random
import threading
import time

_FIRST_SECONDS = 0.5
_LONGEST_SECONDS = 10.0
_SHORTEST_WHILE_CLOSING_SECONDS = 1.0


class Backoff:
    """Waits between tries, twice as long each time, with jitter; logs an outage once."""

    def __init__(self, what: str, logger: logging.Logger) -> None:
        self._what = what
        self._logger = logger
        self._failures = 0
        self._kind: type[Exception] | None = None

    def failed(self, error: Exception) -> None:
        """Note a failed try; it is logged if it is the first, or of another kind."""
        if type(error) is not self._kind:
            self._logger.warning("%s: %s; retrying until it works", self._what, error)
        self._kind = type(error)
        self._failures += 1

    def succeeded(self) -> None:
        """Note a try that worked."""
        if self._failures:
            self._logger.info("%s: works again after %d tries", self._what, self._failures)
        self._failures = 0
        self._kind = None

    def wait(self, closing: "Closing", at_least_seconds: float = 0.0) -> None:
        """Wait for the next try; shorter, the nearer the end of the process is."""
        seconds = min(_LONGEST_SECONDS, _FIRST_SECONDS * 2 ** min(self._failures - 1, 10))
        seconds *= random.uniform(0.5, 1.0)  # noqa: S311 - jitter is no secret
        if closing.requested.is_set():
            left = closing.remaining_seconds()
            seconds = min(seconds, max(_SHORTEST_WHILE_CLOSING_SECONDS, left / 10))
        closing.wait(max(seconds, at_least_seconds))

    def pause(self, closing: "Closing") -> None:
        """Wait for a moment only: the server works, but not for what it got."""
        closing.wait(_FIRST_SECONDS)


class Closing:
    """The wish to end, and the moment after which nothing is tried any more."""

    def __init__(self) -> None:
        self.requested = threading.Event()
        self._deadline = float("inf")
        self._changed = threading.Condition()

    def request(self, within_seconds: float) -> None:
        """Ask for the end; the first request counts unless a later one is stricter."""
        with self._changed:
            self._deadline = min(self._deadline, time.monotonic() + within_seconds)
            self.requested.set()
            self._changed.notify_all()

    def wait(self, seconds: float) -> None:
        """Wait, but neither beyond the deadline nor beyond the next request."""
        with self._changed:
            self._changed.wait(min(seconds, self.remaining_seconds()))

    def remaining_seconds(self) -> float:
        """Time left, never negative; infinite before a request."""
        return max(0.0, self._deadline - time.monotonic())

    def expired(self) -> bool:
        """Whether the deadline has passed."""
        return self.remaining_seconds() == 0.0
