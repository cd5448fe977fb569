"""What is made of the readings of one GPU, whoever made it."""

from collections.abc import Iterable, Iterator
from dataclasses import replace

from trainingjob_agent.monitor.gpu import quantities as q
from trainingjob_agent.monitor.gpu.identity import GpuIdentity
from trainingjob_agent.monitor.quantity import Quantity, Reading

_COUNTED_BY_DRIVER = frozenset({q.ENERGY, q.NVLINK_RECEIVE, q.NVLINK_TRANSMIT})
"""Counted by the driver from its own start; shown from the monitor's."""

_RATIOS = {
    q.MEMORY_UTILIZATION: (q.MEMORY_USED, q.MEMORY_CAPACITY),
    q.POWER_UTILIZATION: (q.POWER, q.POWER_LIMIT),
}
"""Made from two readings of the same device."""
_IN_RATIOS = frozenset(quantity for pair in _RATIOS.values() for quantity in pair)


class SinceStart:
    """Remembers the first value of each counter that the driver has counted before."""

    def __init__(self) -> None:
        self._first: dict[Quantity, float] = {}

    def of(self, reading: Reading) -> Reading:
        """Return a reading with the growth of such a counter in place of its value."""
        if reading.quantity not in _COUNTED_BY_DRIVER:
            return reading
        first = self._first.setdefault(reading.quantity, reading.value)
        return replace(reading, value=max(0.0, reading.value - first))


def info(gpu: GpuIdentity) -> Reading:
    """Return which GPU it is, as a reading."""
    labels = (gpu.uuid, gpu.pci_address, gpu.name, gpu.sharing, gpu.driver)
    return Reading(q.INFO, 1.0, (str(gpu.index), *labels))


def ratios(readings: Iterable[Reading]) -> Iterator[Reading]:
    """Make the ratios whose two readings are there."""
    values = {
        (reading.quantity, reading.labels): reading.value
        for reading in readings
        if reading.quantity in _IN_RATIOS
    }
    for ratio, (part, whole) in _RATIOS.items():
        for (quantity, labels), value in values.items():
            if quantity is part and values.get((whole, labels)):
                yield Reading(ratio, value / values[whole, labels], labels)
