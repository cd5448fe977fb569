"""The lines of several pods in the order of their times, read again without repeats."""

import heapq
from dataclasses import dataclass, field
from datetime import UTC, datetime

HOLD_SECONDS = 0.5
"""How long a line waits for older ones of other pods."""

_NANOSECONDS = 10**9


@dataclass(frozen=True, slots=True)
class Line:
    """A line of a pod's log: nanoseconds since 1970, attempt and node rank of the pod, text."""

    time: int
    attempt: int
    rank: int
    text: str


def parse(raw: str, attempt: int, rank: int) -> Line | None:
    """Read a line that the kubelet has stamped (`timestamps=true`); None if it is not one."""
    stamp, _, text = raw.partition(" ")
    moment = nanoseconds(stamp)
    return None if moment is None else Line(moment, attempt, rank, text)


def nanoseconds(stamp: str) -> int | None:
    """An RFC 3339 time with up to nine digits of a second, as nanoseconds since 1970."""
    whole, point, rest = stamp.partition(".")
    digits = rest.rstrip("Z") if rest.endswith("Z") else rest[: max(rest.find("+"), rest.find("-"))]
    zone = "Z" if rest.endswith("Z") else rest[len(digits) :]
    try:
        moment = datetime.fromisoformat(f"{whole}{zone}" if point else whole)
        fraction = int(f"{digits:0<9}"[:9]) if point else 0
    except ValueError:
        return None
    if moment.tzinfo is None:
        return None
    since = moment - datetime(1970, 1, 1, tzinfo=UTC)
    return (since.days * 86400 + since.seconds) * _NANOSECONDS + fraction


@dataclass
class Cursor:
    """How far the log of one pod was read, so that another reading repeats nothing.

    The kubelet gives out again all lines since a whole second (`sinceTime`): as many of that second
    as were seen are dropped.
    """

    _second: int | None = None
    _seen: int = 0
    _to_drop: int = 0

    @property
    def since(self) -> str | None:
        """Value of `sinceTime` for the next reading; None before the first line."""
        if self._second is None:
            return None
        return datetime.fromtimestamp(self._second, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")

    def begin(self) -> None:
        """The log is read again from `since`."""
        self._to_drop = self._seen

    def is_new(self, line: Line) -> bool:
        """Whether the line, the next one of this reading, was not in an earlier one."""
        second = line.time // _NANOSECONDS
        if self._second is None or second > self._second:
            self._second, self._seen, self._to_drop = second, 1, 0
        elif second == self._second:
            if self._to_drop:
                self._to_drop -= 1
                return False
            self._seen += 1
        return True


@dataclass
class Merger:
    """Holds lines back for HOLD_SECONDS and gives them out oldest first."""

    _lines: list[tuple[int, int, Line, float]] = field(default_factory=list)
    _count: int = 0

    def add(self, line: Line, now: float) -> None:
        """Take a line that arrived at `now` (seconds of a steady clock)."""
        self._count += 1
        heapq.heappush(self._lines, (line.time, self._count, line, now))

    def take(self, now: float) -> list[Line]:
        """Return what has waited long enough."""
        found = []
        while self._lines and now - self._lines[0][3] >= HOLD_SECONDS:
            found.append(heapq.heappop(self._lines)[2])
        return found

    def rest(self) -> list[Line]:
        """Return all that is left, at the end."""
        return [heapq.heappop(self._lines)[2] for _ in range(len(self._lines))]
