"""One sample of a node as a value."""

from dataclasses import dataclass

from trainingjob_agent.monitor.quantity import Reading


@dataclass(frozen=True, slots=True)
class SystemSample:
    """One node at one moment: all that could be read of it."""

    timestamp_milliseconds: int
    readings: tuple[Reading, ...]
