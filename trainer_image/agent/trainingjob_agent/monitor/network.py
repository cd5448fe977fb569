"""Traffic of the pod's network interfaces."""

import time
from dataclasses import dataclass

import psutil

from trainingjob_agent.monitor import quantities as q
from trainingjob_agent.monitor.quantity import Reading

_LOOPBACK = "lo"


@dataclass(frozen=True, slots=True)
class _Traffic:
    seconds: float
    received: int
    sent: int


class NetworkReader:
    """Bytes since the start, and per second since the last reading."""

    def __init__(self) -> None:
        self._first = self._last = _traffic()

    def read(self) -> list[Reading]:
        """Read totals and rates."""
        last, now = self._last, _traffic()
        self._last = now
        elapsed = max(now.seconds - last.seconds, 1e-6)
        # An interface that went away takes its counters with it.
        received, sent = (max(0, n) for n in (now.received - last.received, now.sent - last.sent))
        return [
            Reading(q.NETWORK_RECEIVE, max(0, now.received - self._first.received)),
            Reading(q.NETWORK_TRANSMIT, max(0, now.sent - self._first.sent)),
            Reading(q.NETWORK_RECEIVE_RATE, received / elapsed),
            Reading(q.NETWORK_TRANSMIT_RATE, sent / elapsed),
        ]


def _traffic() -> _Traffic:
    interfaces = psutil.net_io_counters(pernic=True)
    counted = [interface for name, interface in interfaces.items() if name != _LOOPBACK]
    return _Traffic(
        time.monotonic(),
        sum(interface.bytes_recv for interface in counted),
        sum(interface.bytes_sent for interface in counted),
    )
