"""How far an initializer is: counted by its source, reported in the log and as a tag of the run."""

import logging
import threading
import time
from collections.abc import Callable

PREPARING_TAG = "trainingjob.preparing"
"""Tag of the run: `ATTEMPT NAME: TEXT`, of the initializer of node 0 that runs."""

_LOOK_SECONDS = 5.0
_LAST_REPORT_SECONDS = 5.0
_GRAIN_PERCENT = 10
_LONGEST_SILENCE_SECONDS = 60.0
_UNITS = ("B", "kB", "MB", "GB", "TB")
_STEP = 1000

_logger = logging.getLogger("initialize")


class Progress:
    """Bytes that are there, and those in all where they are known; any thread may count."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self.done = 0
        self.total: int | None = None
        self._doing = ""

    def begin(self, doing: str, total: int) -> None:
        """Count anew, for something else than fetching, e.g. `unpacking set.tar.gz`."""
        with self._lock:
            self._doing, self.done, self.total = doing, 0, total

    def add(self, count: int) -> None:
        """Count bytes that have come."""
        with self._lock:
            self.done += count

    @property
    def percentage(self) -> int | None:
        """Part that is there; None where the whole is not known."""
        return None if not self.total else min(100, self.done * 100 // self.total)

    def text(self) -> str:
        """What people read, e.g. `120.0 MB of 400.0 MB, 30%`."""
        doing = f"{self._doing}: " if self._doing else ""
        if not self.total:
            return f"{doing}{amount(self.done)}"
        return f"{doing}{amount(self.done)} of {amount(self.total)}, {self.percentage}%"


class Reporter(threading.Thread):
    """Reports a progress every ten percent, or once a minute where that is sooner."""

    def __init__(
        self,
        progress: Progress,
        report: Callable[[str], None],
        look_seconds: float = _LOOK_SECONDS,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        super().__init__(name="progress", daemon=True)
        self._progress = progress
        self._report = report
        self._look_seconds = look_seconds
        self._clock = clock
        self._ended = threading.Event()
        self._reported: tuple[float, int] | None = None

    def run(self) -> None:
        """Look every few seconds until the end."""
        while not self._ended.wait(self._look_seconds):
            self.look()

    def look(self) -> None:
        """Report if there is news."""
        now, percentage = self._clock(), self._progress.percentage or 0
        if self._reported is not None:
            at, before = self._reported
            # It falls where something else begins.
            if 0 <= percentage - before < _GRAIN_PERCENT and now - at < _LONGEST_SILENCE_SECONDS:
                return
        self._reported = (now, percentage)
        text = self._progress.text()
        _logger.info("%s", text)
        self._report(text)

    def end(self) -> None:
        """Stop looking; a report that is under way gets a moment."""
        self._ended.set()
        self.join(_LAST_REPORT_SECONDS)


def amount(count: int) -> str:
    """Bytes in the unit that suits them, e.g. `1.5 GB`."""
    value = float(count)
    for unit in _UNITS:
        if value < _STEP or unit == _UNITS[-1]:
            break
        value /= _STEP
    return f"{count} B" if unit == "B" else f"{value:.1f} {unit}"
