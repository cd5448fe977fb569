"""Distinguishes content that a server fails on from a server that is down."""

from collections.abc import Callable

from trainingjob_agent.delivery.batch import Batch

_FAILURES_WITHOUT_A_QUESTION = 2
_PROVEN_FAILURES = 8
"""Failures of one single item before it is dropped. A server that fails every third call, whatever
it contains, does that by chance to one item in a million."""


class Poison:
    """Follows the failures of one call's parts, the first of which is tried until it is settled.

    A failure is proven when the server takes another write right after it. A part that fails so is
    cut in halves, until the item that it fails on is alone.
    """

    def __init__(self, takes_writes: Callable[[Batch], bool]) -> None:
        self._takes_writes = takes_writes
        self._failures = 0
        self._proven = 0
        self.found = False

    def settled(self) -> None:
        """The first part is done with."""
        self._failures = self._proven = 0

    def failed(self, part: Batch) -> list[Batch] | None:
        """Note a failure; return what to try next in place of `part`, None to give it up."""
        self._failures += 1
        if not self.found and self._failures <= _FAILURES_WITHOUT_A_QUESTION:
            return [part]
        if not self._takes_writes(part):
            self._proven = 0
            self.found = False
            return [part]
        self._proven += 1
        self.found = True
        if len(part) > 1:
            self.settled()
            return list(part.split())
        return None if self._proven >= _PROVEN_FAILURES else [part]
