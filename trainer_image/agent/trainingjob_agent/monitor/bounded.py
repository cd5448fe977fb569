"""Calls that may never return, such as those into a driver or to a network file system."""

import queue
import threading
import time
from collections.abc import Callable
from typing import Generic, TypeVar

_Answer = TypeVar("_Answer")


class BoundedCall(Generic[_Answer]):
    """Makes one call at a time in a daemon thread of its own.

    A call that hangs blocks this thread only. It is not repeated before it returned, and then its
    late answer is dropped.
    """

    def __init__(self, name: str, call: Callable[[], _Answer]) -> None:
        self._call = call
        self._requests: queue.SimpleQueue[None] = queue.SimpleQueue()
        self._idle = threading.Event()
        self._idle.set()
        self._asked = False
        self._answer: _Answer | None = None
        self._error: Exception | None = None
        self._thread = threading.Thread(target=self._serve, name=name, daemon=True)

    def ask(self) -> None:
        """Begin a call, unless the last one is still under way."""
        self._asked = self._idle.is_set()
        if not self._asked:
            return
        if self._thread.ident is None:
            try:
                self._thread.start()
            except RuntimeError as error:  # the pod has as many threads as it may have
                self._error = error
                return
        self._idle.clear()
        self._requests.put(None)

    def answer(self, deadline_seconds: float) -> _Answer | None:
        """Wait for the answer until `deadline_seconds` (of `time.monotonic()`).

        Raises:
            TimeoutError: there is none yet.
            Exception: what the call raised.
        """
        if not self._asked or not self._idle.wait(max(0.0, deadline_seconds - time.monotonic())):
            raise TimeoutError
        if self._error is not None:
            raise self._error
        return self._answer

    def _serve(self) -> None:
        while True:
            self._requests.get()
            self._answer, self._error = None, None
            try:
                self._answer = self._call()
            except Exception as error:  # noqa: BLE001 - raised again where the answer is taken
                self._error = error
            self._idle.set()
