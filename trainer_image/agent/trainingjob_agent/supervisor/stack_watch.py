"""Shows where the script is: when asked by SIGQUIT, and when it does not stop."""

import logging
import queue
import shlex
import sys
import threading
from collections.abc import Callable, Iterator
from datetime import datetime, timezone
from pathlib import Path

import psutil

from trainingjob_agent.stacks.collecting import collect
from trainingjob_agent.supervisor.child import OVER, SHOW_STACKS, Child

_PATIENCE_SECONDS = 10.0
"""From SIGTERM until the stacks are shown; well inside `terminationGracePeriodSeconds`."""
_SHOWN_COMMAND = 80

_logger = logging.getLogger("trainingjob-exec")


class StackWatch(threading.Thread):
    """Writes the stacks of all Python processes of the script to standard error and to a file.

    The file is handed to `keep`, to become an artifact of the run.
    """

    def __init__(
        self,
        child: Child,
        directory: Path,
        keep: Callable[[Path], None],
        patience_seconds: float = _PATIENCE_SECONDS,
    ) -> None:
        super().__init__(name="stack-watch", daemon=True)
        self._child = child
        self._directory = directory
        self._keep = keep
        self._patience_seconds = patience_seconds

    def run(self) -> None:
        """Serve until the script is over."""
        patience: float | None = None
        while True:
            try:
                news = self._child.news.get(timeout=patience)
            except queue.Empty:
                self._show(f"the script goes on {self._patience_seconds:.0f} s after the signal")
                patience = None
                continue
            if news == OVER:
                return
            if news == SHOW_STACKS:
                self._show("asked for")
            else:
                patience = self._patience_seconds

    def _show(self, why: str) -> None:
        text = collect(self._directory / "stacks.txt", self._processes())
        now = datetime.now(timezone.utc).strftime("%Y%m%dT%H%M%S")
        _logger.warning("stacks (%s):", why)
        sys.stderr.write(text)
        sys.stderr.flush()
        file = self._directory / f"{now}.txt"
        file.write_text(text, encoding="utf-8")
        self._keep(file)

    def _processes(self) -> Iterator[tuple[str, int]]:
        script = psutil.Process(self._child.pid)
        for process in [script, *script.children(recursive=True)]:
            try:
                rank = process.environ().get("RANK")
                title = shlex.join(process.cmdline())[:_SHOWN_COMMAND]
            except psutil.Error:
                continue  # it has ended just now
            yield f"rank {rank}: {title}" if rank else title, process.pid
