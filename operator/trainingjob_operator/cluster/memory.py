"""Values that are kept for a while."""

from collections.abc import Callable
from typing import Generic, TypeVar

K = TypeVar("K")
V = TypeVar("V")


class Memory(Generic[K, V]):
    """Values by key, each forgotten `seconds` after it was last kept."""

    def __init__(self, seconds: float, clock: Callable[[], float]) -> None:
        self._seconds = seconds
        self._clock = clock
        # In the order of their times, so that the oldest ones are at the front.
        self._entries: dict[K, tuple[float, V]] = {}

    def keep(self, key: K, value: V) -> None:
        """Keep the value from now on."""
        self._expire()
        self._entries.pop(key, None)
        self._entries[key] = (self._clock(), value)

    def drop(self, key: K) -> None:
        """Forget it at once, if it is known."""
        self._entries.pop(key, None)

    def get(self, key: K) -> V | None:
        """The value, if it is still known."""
        self._expire()
        entry = self._entries.get(key)
        return entry[1] if entry else None

    def __contains__(self, key: K) -> bool:
        """Whether it is still known."""
        self._expire()
        return key in self._entries

    def _expire(self) -> None:
        now = self._clock()
        while self._entries:
            key = next(iter(self._entries))
            if now - self._entries[key][0] < self._seconds:
                return
            del self._entries[key]
