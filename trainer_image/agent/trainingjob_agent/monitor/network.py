"""Traffic of the pod's network interfaces, and of InfiniBand ports where it has some."""

import time
from collections.abc import Iterator
from pathlib import Path

from trainingjob_agent.monitor import quantities as q
from trainingjob_agent.monitor.growth import Growth
from trainingjob_agent.monitor.quantity import Reading

_LOOPBACK = "lo"
_RECEIVED, _SENT = 0, 8
"""Columns of /proc/net/dev: bytes received, bytes sent (man 5 proc_pid_net)."""
_PORT_RECEIVED, _PORT_SENT = "port_rcv_data", "port_xmit_data"
_INFINIBAND_WORD_BYTES = 4
"""Ports count words of four lanes (Linux, sysfs-class-infiniband)."""


class NetworkReader:
    """Bytes since the start, and per second since the last reading."""

    def __init__(self, interfaces: Path = Path("/proc/self/net/dev")) -> None:
        self._interfaces = interfaces
        self._growth = Growth()
        self.read()

    def read(self) -> list[Reading]:
        """Read totals and rates.

        Raises:
            OSError, ValueError: the kernel's table cannot be read.
        """
        counted, now = _traffic(self._interfaces.read_text()), time.monotonic()
        received = self._growth.of("received", counted[0], now)
        sent = self._growth.of("sent", counted[1], now)
        return [
            Reading(q.NETWORK_RECEIVE, received.total),
            Reading(q.NETWORK_TRANSMIT, sent.total),
            Reading(q.NETWORK_RECEIVE_RATE, received.per_second),
            Reading(q.NETWORK_TRANSMIT_RATE, sent.per_second),
        ]


class InfinibandReader:
    """The same of each InfiniBand or RoCE port: RDMA passes the interfaces by.

    A virtual function may have a port without counters; it is left out.
    """

    def __init__(self, devices: Path = Path("/sys/class/infiniband")) -> None:
        self._growth = Growth()
        self._ports = {
            f"{port.parents[1].name}/{port.name}": port / "counters"
            for port in sorted(devices.glob("*/ports/*"))
            if all((port / "counters" / name).exists() for name in (_PORT_RECEIVED, _PORT_SENT))
        }
        self.read()

    def read(self) -> list[Reading]:
        """Read all ports.

        Raises:
            OSError, ValueError: a counter cannot be read.
        """
        return [r for port, counters in self._ports.items() for r in self._read_one(port, counters)]

    def _read_one(self, port: str, counters: Path) -> Iterator[Reading]:
        for name, total, rate in (
            (_PORT_RECEIVED, q.INFINIBAND_RECEIVE, q.INFINIBAND_RECEIVE_RATE),
            (_PORT_SENT, q.INFINIBAND_TRANSMIT, q.INFINIBAND_TRANSMIT_RATE),
        ):
            counted = int((counters / name).read_text()) * _INFINIBAND_WORD_BYTES
            grown = self._growth.of(f"{port} {name}", counted, time.monotonic())
            yield Reading(total, grown.total, (port,))
            yield Reading(rate, grown.per_second, (port,))


def _traffic(table: str) -> tuple[int, int]:
    """Return bytes received and sent, of all interfaces but loopback."""
    received = sent = 0
    for line in table.splitlines()[2:]:
        name, _, columns = line.partition(":")
        if name.strip() != _LOOPBACK:
            counters = columns.split()
            received += int(counters[_RECEIVED])
            sent += int(counters[_SENT])
    return received, sent
