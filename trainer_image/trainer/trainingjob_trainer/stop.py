"""SIGTERM: the pod is to end. Training stops at the next step, or is left where it hangs."""

import logging
import os
import signal
import socket
import threading
from collections.abc import Callable

from trainingjob_agent.forks import keep_workers_out_of_group

_logger = logging.getLogger(__name__)


class StopRequest:
    """Whether SIGTERM has come.

    Python runs a signal handler only when the main thread is back from native code, and a
    collective operation whose peers are gone may never come back. So a thread sees the signal, by
    `signal.set_wakeup_fd`: it asks the loop to stop, and calls `on_stuck` if the step and its
    checkpoint are not done within `patience_seconds`. Once they are, also if that was before the
    signal, it calls `on_done`.
    """

    def __init__(
        self,
        on_stuck: Callable[[], None],
        patience_seconds: float,
        on_done: Callable[[], None],
    ) -> None:
        self._on_done = on_done
        self._on_stuck = on_stuck
        self._patience_seconds = patience_seconds
        self._requested = False
        self._done = threading.Event()
        self._receiver, self._sender = socket.socketpair()

    @property
    def requested(self) -> bool:
        """Whether the process was asked to end."""
        return self._requested

    def install(self) -> None:
        """Listen to SIGTERM from now on. Call in the main thread."""
        self._sender.setblocking(False)
        signal.set_wakeup_fd(self._sender.fileno(), warn_on_full_buffer=False)
        signal.signal(signal.SIGTERM, lambda _number, _frame: self._request())
        # A signal to a child that has not let go of all this yet is kept from it until it has.
        os.register_at_fork(
            before=_hold_back, after_in_child=_be_as_any_other, after_in_parent=_let_through
        )
        keep_workers_out_of_group()
        threading.Thread(target=self._listen, name="stop-request", daemon=True).start()

    def done(self) -> None:
        """Training has ended; nobody need be impatient any more."""
        self._done.set()

    def _request(self) -> None:
        # A plain value: a handler that took a lock could meet itself in a second signal.
        self._requested = True

    def _listen(self) -> None:
        while signal.SIGTERM not in self._receiver.recv(16):
            continue
        _logger.warning("SIGTERM: stopping at the next step")
        self._request()
        if not self._done.wait(self._patience_seconds):
            _logger.error("training did not stop within %.0f s", self._patience_seconds)
            self._on_stuck()
        else:
            self._on_done()


def _be_as_any_other() -> None:
    """Have SIGTERM end this process, a forked child, without a word to the parent."""
    signal.set_wakeup_fd(-1)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    _let_through()


def _hold_back() -> None:
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})


def _let_through() -> None:
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGTERM})
