"""Errors of the monitor: each costs its value only, is counted, and is logged once."""

import logging
import threading
from collections import Counter

from trainingjob_agent.monitor.quantities import MONITOR_ERRORS
from trainingjob_agent.monitor.quantity import Reading

_MOST_PROBLEMS = 1000
"""Problems that are logged at most: an error may have another text each time."""

_logger = logging.getLogger(__name__)


class ErrorLog:
    """Shared by the threads of one monitor."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._logged: set[tuple[str, str]] = set()
        self._counts: Counter[str] = Counter()

    def note(self, source: str, problem: str, *, expected: bool = False) -> None:
        """Count a value of `source` as lost and log the problem, the first time.

        Args:
            source: label of the count, such as "gpu 0" or "network".
            problem: what could not be read, and why.
            expected: the device simply lacks this; then it is no error, and only logged.
        """
        with self._lock:
            if not expected:
                self._counts[source] += 1
            if (source, problem) in self._logged or len(self._logged) >= _MOST_PROBLEMS:
                return
            self._logged.add((source, problem))
        level = logging.INFO if expected else logging.WARNING
        _logger.log(level, "%s: %s (logged once)", source, problem)

    def recovered(self, source: str, problem: str) -> None:
        """Say that a problem is over, if it was logged; it is logged again when it comes back."""
        with self._lock:
            if (source, problem) not in self._logged:
                return
            self._logged.remove((source, problem))
        _logger.info("%s: over: %s", source, problem)

    def readings(self) -> list[Reading]:
        """Return the counts by source."""
        with self._lock:
            return [Reading(MONITOR_ERRORS, n, (source,)) for source, n in self._counts.items()]
