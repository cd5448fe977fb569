"""Growing counters: their increase since the first reading, their rate since the last."""

from dataclasses import dataclass
from typing import NamedTuple


class Grown(NamedTuple):
    """How much a counter has grown since it was first read, and its rate since the last reading."""

    total: float
    per_second: float


@dataclass(frozen=True, slots=True)
class _Seen:
    seconds: float
    value: float


class Growth:
    """Remembers counters by name. One that shrinks, as its device went away, has not grown."""

    def __init__(self) -> None:
        self._first: dict[str, float] = {}
        self._last: dict[str, _Seen] = {}

    def of(self, name: str, value: float, seconds: float) -> Grown:
        """Return the growth of a counter read at `seconds` (of `time.monotonic()`)."""
        first = self._first.setdefault(name, value)
        last = self._last.get(name, _Seen(seconds, value))
        self._last[name] = _Seen(seconds, value)
        elapsed = max(seconds - last.seconds, 1e-6)
        return Grown(max(0.0, value - first), max(0.0, value - last.value) / elapsed)
