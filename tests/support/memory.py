"""The memory that a process takes for itself, as it changes."""

import re
import threading
from pathlib import Path
from types import TracebackType
from typing import Self

_EVERY_SECONDS = 0.002


def anonymous_bytes() -> int:
    """Memory of this process that is no file's: what counts towards a limit and cannot be freed.

    A file that is mapped is left out: the kernel drops its pages when others need the memory.
    """
    status = Path("/proc/self/status").read_text()
    return 1024 * sum(int(size) for size in re.findall(r"Rss(?:Anon|Shmem):\s+(\d+)", status))


class PeakMemory:
    """How much more memory than at its start this process has had at most, by looking often."""

    def __init__(self) -> None:
        self.bytes = 0
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._look, daemon=True)

    def __enter__(self) -> Self:
        self._before = anonymous_bytes()
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._ended.set()
        self._thread.join()

    def _look(self) -> None:
        while not self._ended.wait(_EVERY_SECONDS):
            self.bytes = max(self.bytes, anonymous_bytes() - self._before)
