"""The user's command as a child: its output passed on, signals forwarded, its end waited for."""

import contextlib
import os
import queue
import selectors
import signal
import subprocess
import threading
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import FrameType

_TAIL_BYTES = 64 * 1024
_READ_BYTES = 64 * 1024
_STDOUT, _STDERR = 1, 2
STOPPING = (signal.SIGTERM, signal.SIGINT)
FORWARDED = (*STOPPING, signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2)
SHOW_STACKS = signal.SIGQUIT
OVER = 0


class Child:
    """Runs in a process group of its own, so that a signal reaches all that it starts.

    But for forked workers of its Python processes: those leave the group (`forks`).

    Standard input is inherited. Standard output and error go through a pipe each, byte by byte as
    they come, so that they can be kept; a terminal stays the standard output of the command.
    """

    def __init__(self, command: Sequence[str], keep: Callable[[bytes], None]) -> None:
        """Prepare; `keep` gets each piece of the command's output."""
        self._command = list(command)
        self._keep_output = keep
        self._process: subprocess.Popen[bytes] | None = None
        self._early: list[int] = []
        self._stop_marker: Path | None = None
        self._tail: deque[bytes] = deque()
        self._tail_bytes = 0
        self._ended = os.eventfd(0, os.EFD_CLOEXEC)
        self.stop_signal: int | None = None
        self.pipes: list[int] = []
        """Inodes of the pipes that are the command's standard output and standard error."""
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

    def start(self, environment: Mapping[str, str], stop_marker: Path) -> None:
        """Start the command; `stop_marker` appears before it gets SIGTERM or SIGINT.

        Raises:
            OSError: it cannot be started.
        """
        self._stop_marker = stop_marker
        self._process = subprocess.Popen(
            self._command,
            env=environment,
            stdout=None if os.isatty(_STDOUT) else subprocess.PIPE,
            stderr=subprocess.PIPE,
            preexec_fn=os.setpgrp,  # no other thread runs yet
        )
        streams = ((_STDOUT, self._process.stdout), (_STDERR, self._process.stderr))
        sources = {stream.fileno(): number for number, stream in streams if stream is not None}
        self.pipes = [os.fstat(source).st_ino for source in sources]
        self._pump = threading.Thread(
            target=self._pass_on, args=(sources,), name="output", daemon=True
        )
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
        if number in STOPPING and self._stop_marker is not None:
            with contextlib.suppress(OSError):  # then its processes print tracebacks
                self._stop_marker.touch()
        with contextlib.suppress(ProcessLookupError):  # it has ended just now
            os.killpg(self.pid, number)

    def _pass_on(self, sources: dict[int, int]) -> None:
        """Copy the output until all have closed it, or the command is over and it is empty.

        A process that the command left behind may keep the pipes open for ever.
        """
        with selectors.DefaultSelector() as selector:
            for source in sources:
                selector.register(source, selectors.EVENT_READ)
            selector.register(self._ended, selectors.EVENT_READ)
            while sources:
                ready = [key.fd for key, _ in selector.select() if key.fd in sources]
                if not ready:
                    return
                for source in ready:
                    data = os.read(source, _READ_BYTES)
                    if data:
                        self._take(data, sources[source])
                    else:
                        selector.unregister(source)
                        del sources[source]

    def _take(self, data: bytes, number: int) -> None:
        if number == _STDERR:
            self._keep(data)
        self._keep_output(data)
        _write_all(data, number)

    def _keep(self, data: bytes) -> None:
        self._tail.append(data)
        self._tail_bytes += len(data)
        while self._tail_bytes - len(self._tail[0]) >= _TAIL_BYTES:
            self._tail_bytes -= len(self._tail.popleft())


def _write_all(data: bytes, number: int) -> None:
    """Write to our own stream; when nobody listens any more, the command still may write."""
    view = memoryview(data)
    with contextlib.suppress(OSError):
        while view:
            view = view[os.write(number, view) :]
