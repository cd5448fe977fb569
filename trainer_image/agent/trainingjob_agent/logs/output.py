"""The output of a script as it comes, kept within bounds: its head and its tail."""

import threading
from collections import deque
from collections.abc import Mapping
from pathlib import Path

from trainingjob_agent.logs.masking import Masker

HEAD_BYTES = 1024 * 1024
TAIL_BYTES = 4 * 1024 * 1024
_LONGEST_LINE_BYTES = 64 * 1024
_PIECE_BYTES = 16 * 1024


class Tail:
    """The last bytes of what was added, in pieces."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._pieces: deque[bytes] = deque()
        self._size = 0
        self.left_out = 0

    def add(self, data: bytes) -> None:
        """Add bytes; the oldest pieces go when there are too many."""
        for begin in range(0, len(data), _PIECE_BYTES):
            self._pieces.append(data[begin : begin + _PIECE_BYTES])
        self._size += len(data)
        while self._size > self._limit:
            first = self._pieces.popleft()
            self._size -= len(first)
            self.left_out += len(first)

    def content(self) -> bytes:
        """Return what is kept."""
        return b"".join(self._pieces)


class Output:
    """Takes pieces in the thread that passes them on; masks and writes them in another one."""

    def __init__(
        self,
        environment: Mapping[str, str],
        head_bytes: int = HEAD_BYTES,
        tail_bytes: int = TAIL_BYTES,
    ) -> None:
        self._masker = Masker(environment)
        self._lock = threading.Lock()
        self._head_bytes = head_bytes
        self._tail_bytes = tail_bytes
        self._new = Tail(tail_bytes)
        self._rest = b""
        self._head = b""
        self._tail = Tail(tail_bytes)

    def add(self, data: bytes) -> None:
        """Take a piece; costs next to nothing."""
        with self._lock:
            self._new.add(data)

    def save(self, file: Path, *, complete: bool = False) -> bool:
        """Write all of it to `file`; False when nothing came since the last time.

        The last line waits for its end, unless the output is complete.

        Raises:
            OSError: the file cannot be written.
        """
        whole = self._take(complete=complete)
        if not whole:
            return False
        masked = self._masker.lines(_as_shown(whole))
        room = self._head_bytes - len(self._head)
        self._head += masked[:room]
        self._tail.add(masked[room:])
        left_out = self._tail.left_out
        note = f"\n[… {left_out:,} bytes are left out here …]\n".encode() if left_out else b""
        file.write_bytes(self._head + note + self._tail.content())
        return True

    def _take(self, *, complete: bool) -> bytes:
        """Take what came since the last time, as whole lines."""
        with self._lock:
            new, self._new = self._new, Tail(self._tail_bytes)
        text = new.content()
        if new.left_out:
            # The rest of a cut line could be half of a secret, which no pattern recognises.
            self._tail.left_out += new.left_out + len(self._rest)
            self._rest = b""
            text = text.partition(b"\n")[2]
        text = self._rest + text
        whole, newline, self._rest = text.rpartition(b"\n")
        if not complete and len(self._rest) <= _LONGEST_LINE_BYTES:
            return whole + newline
        self._rest = b""
        return text


def _as_shown(lines: bytes) -> bytes:
    """Return lines as a terminal shows them: a progress bar is its last state."""
    if b"\r" not in lines:
        return lines
    shown = (line.rstrip(b"\r").rpartition(b"\r")[2] for line in lines.split(b"\n"))
    return b"\n".join(shown)
