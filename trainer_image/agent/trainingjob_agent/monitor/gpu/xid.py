"""Critical errors that the driver reports."""

import logging
from collections import Counter
from collections.abc import Iterator
from typing import Any

from trainingjob_agent.monitor.gpu import quantities as q
from trainingjob_agent.monitor.gpu.fault import describe_xid
from trainingjob_agent.monitor.gpu.identity import GpuIdentity
from trainingjob_agent.monitor.quantity import Reading

_MAX_EVENTS_AT_ONCE = 100

_logger = logging.getLogger(__name__)


class XidEvents:
    """Counts the Xids of one GPU since its first poll."""

    def __init__(self, nvml: Any, label: str, gpu: GpuIdentity, handle: Any) -> None:
        self.counts: Counter[int] = Counter()
        self._nvml = nvml
        self._label = label
        self._gpu = gpu
        self._handle = handle
        self._events: Any = None

    def poll(self) -> None:
        """Take the events that wait; never waits for one.

        Raises:
            NVMLError: the driver gives no events.
        """
        if self._events is None:
            events = self._nvml.nvmlEventSetCreate()
            kinds = self._nvml.nvmlEventTypeXidCriticalError
            try:
                self._nvml.nvmlDeviceRegisterEvents(self._handle, kinds, events)
            except self._nvml.NVMLError:
                self._nvml.nvmlEventSetFree(events)
                raise
            self._events = events
        for _ in range(_MAX_EVENTS_AT_ONCE):
            try:
                event = self._nvml.nvmlEventSetWait_v2(self._events, 0)
            except self._nvml.NVMLError_Timeout:
                return
            xid = int(event.eventData)
            self.counts[xid] += 1
            if self.counts[xid] == 1:
                _logger.error("%s: %s (logged once)", self._gpu, describe_xid(xid))

    def readings(self) -> Iterator[Reading]:
        """Return the counts by Xid."""
        for xid, count in self.counts.items():
            yield Reading(q.XID_ERRORS, count, (self._label, str(xid)))
