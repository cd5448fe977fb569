"""The user's command as a child: its output passed on, signals forwarded, its end waited for."""

import contextlib
import os
import queue
import selectors
import signal
import subprocess
import threading
from collections import deque
from collections.abc import Mapping, Sequence
from types import FrameType

_TAIL_BYTES = 64 * 1024
_READ_BYTES = 64 * 1024
_STDERR = 2
STOPPING = (signal.SIGTERM, signal.SIGINT)
FORWARDED = (*STOPPING, signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2)
SHOW_STACKS = signal.SIGQUIT
OVER = 0


class Child:
    """Runs in a process group of its own, so that a signal reaches all that it starts.

    But for forked workers of its Python processes: those leave the group (`forks`).

    Standard input and output are inherited. Standard error goes through a pipe, byte by byte as it
    comes, so that its end can be told when the command fails.
    """

    def __init__(self, command: Sequence[str]) -> None:
        self._command = list(command)
        self._process: subprocess.Popen[bytes] | None = None
        self._early: list[int] = []
        self._tail: deque[bytes] = deque()
        self._tail_bytes = 0
        self._ended = os.eventfd(0, os.EFD_CLOEXEC)
        self.stop_signal: int | None = None
        self.news: queue.SimpleQueue[int] = queue.SimpleQueue()
        """SIGTERM, SIGINT and SIGQUIT as they come, at last `OVER`."""

    @property
    def pid(self) -> int:
        """Process id, which is that of the group, too."""
        if self._process is None:
            raise RuntimeError("the command has not been started")
        return self._process.pid

    def forward_signals(self) -> None:
        """Send on what this process gets from now on. Call in the main thread."""
        for number in FORWARDED:
            signal.signal(number, self._forward)
        # A queue of this kind may be put to while the same thread puts to it.
        signal.signal(SHOW_STACKS, lambda number, _frame: self.news.put(number))

    def start(self, environment: Mapping[str, str]) -> None:
        """Start the command.

        Raises:
            OSError: it cannot be started.
        """
        self._process = subprocess.Popen(
            self._command,
            env=environment,
            stderr=subprocess.PIPE,
            preexec_fn=os.setpgrp,  # no other thread runs yet
        )
        self._pump = threading.Thread(target=self._pass_on, name="stderr", daemon=True)
        self._pump.start()
        for number in self._early:
            self._send(number)

    def wait(self) -> int:
        """Wait for the end; return the exit code, or minus the number of the signal."""
        if self._process is None:
            raise RuntimeError("the command has not been started")
        code = self._process.wait()
        self.news.put(OVER)
        os.eventfd_write(self._ended, 1)
        self._pump.join()
        return code

    def tail(self) -> str:
        """Return the end of standard error."""
        return b"".join(self._tail).decode(errors="replace")

    def _forward(self, number: int, _frame: FrameType | None) -> None:
        if number in STOPPING:
            self.stop_signal = number
            self.news.put(number)
        if self._process is None:
            self._early.append(number)
        else:
            self._send(number)

    def _send(self, number: int) -> None:
        with contextlib.suppress(ProcessLookupError):  # it has ended just now
            os.killpg(self.pid, number)

    def _pass_on(self) -> None:
        """Copy standard error until all have closed it, or the command is over and it is empty.

        A process that the command left behind may keep the pipe open for ever.
        """
        if self._process is None or self._process.stderr is None:
            raise RuntimeError("the command has not been started")
        source = self._process.stderr.fileno()
        with selectors.DefaultSelector() as selector:
            selector.register(source, selectors.EVENT_READ)
            selector.register(self._ended, selectors.EVENT_READ)
            while True:
                ready = {key.fd for key, _ in selector.select()}
                if source not in ready:
                    return
                data = os.read(source, _READ_BYTES)
                if not data:
                    return
                self._keep(data)
                _write_all(data)

    def _keep(self, data: bytes) -> None:
        self._tail.append(data)
        self._tail_bytes += len(data)
        while self._tail_bytes - len(self._tail[0]) >= _TAIL_BYTES:
            self._tail_bytes -= len(self._tail.popleft())


def _write_all(data: bytes) -> None:
    """Write to standard error; when nobody listens any more, the command still may write."""
    view = memoryview(data)
    with contextlib.suppress(OSError):
        while view:
            view = view[os.write(_STDERR, view) :]
