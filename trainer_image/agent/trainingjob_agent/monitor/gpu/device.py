"""One GPU of NVIDIA. An error of one of its counters costs that value only."""

import logging
import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any, TypeVar

from trainingjob_agent.monitor.errors import ErrorLog
from trainingjob_agent.monitor.gpu import quantities as q
from trainingjob_agent.monitor.gpu.calls import FAST, SLOW, Call
from trainingjob_agent.monitor.gpu.derived import SinceStart, info, ratios
from trainingjob_agent.monitor.gpu.fault import XID_FELL_OFF_THE_BUS, GpuFault, describe_xid
from trainingjob_agent.monitor.gpu.gpm import GpmReader
from trainingjob_agent.monitor.gpu.identity import GpuIdentity, sharing_of
from trainingjob_agent.monitor.gpu.mig import find_mig_instances
from trainingjob_agent.monitor.gpu.xid import XidEvents
from trainingjob_agent.monitor.quantity import Reading

_Value = TypeVar("_Value")
_SLOW_SECONDS = 60.0

_logger = logging.getLogger(__name__)


class GpuDevice:
    """Reads one GPU, always in the same thread. A lost one is not asked again."""

    def __init__(self, nvml: Any, index: int, errors: ErrorLog, driver: str = "") -> None:
        self.index = index
        self._nvml = nvml
        self.identity = GpuIdentity(index, driver=driver)
        self._errors = errors
        self._label = str(index)
        self._source = f"gpu {index}"
        self._handle: Any = None
        self._lost = False
        self._xids: XidEvents | None = None
        self._parts: dict[str, Callable[[], list[Reading]]] = {}
        self._since_start = SinceStart()
        self._slow: list[Reading] = []
        self._slow_due_seconds = 0.0

    def read(self) -> list[Reading]:
        """Read all of its values, and whether it is lost."""
        if self._handle is None:
            self._open()
        readings: list[Reading] = []
        if self._handle is not None:
            readings += [*self._read_parts(), *self._read_slow()]
            readings += ratios(readings)
        if self._xids:
            self._ask("Xid events", self._xids.poll)
            readings += self._xids.readings()
            if self._xids.counts[XID_FELL_OFF_THE_BUS]:
                self._lose()
        if self._lost:
            # What was read before it fell is history, and may have been wrong already.
            readings = [reading for reading in readings if reading.quantity is q.XID_ERRORS]
        return [*readings, Reading(q.LOST, float(self._lost), (self._label,)), info(self.identity)]

    def fault(self) -> GpuFault | None:
        """Return what is wrong with it, as far as the last reading knows."""
        xids = sorted(self._xids.counts) if self._xids else []
        errors = ", ".join(map(describe_xid, xids))
        if self._lost:
            message = f"{self.identity} fell off the bus" + (f": {errors}" if errors else "")
            return GpuFault(self.index, "GpuLost", message)
        if errors:
            return GpuFault(self.index, "GpuXidError", f"{self.identity}: {errors}")
        return None

    def _open(self) -> None:
        nvml = self._nvml
        handle = self._ask("handle", lambda: nvml.nvmlDeviceGetHandleByIndex(self.index))
        if handle is None:
            return
        self._handle = handle
        self._identify()
        self._xids = XidEvents(nvml, self._label, self.identity, handle)
        self._parts = {what: self._bind(call) for what, call in FAST.items()}
        instances = self._ask("MIG", lambda: find_mig_instances(nvml, self.index, handle)) or []
        if instances:
            self.identity = replace(self.identity, sharing=sharing_of(mig=True))
        for instance in instances:
            self._parts[f"memory of {instance.label}"] = instance.memory
        support = self._ask("activity", lambda: nvml.nvmlGpmQueryDeviceSupport(handle))
        if support is None or not support.isSupportedDevice:
            return
        for instance in instances:
            what = f"activity of {instance.label}"
            reader = self._ask(what, lambda instance=instance: instance.activity(handle))  # type: ignore[misc]  # mypy cannot infer a lambda with a default
            if reader:
                self._parts[what] = reader.read
        if not instances:
            take = nvml.nvmlGpmSampleGet
            reader = GpmReader(nvml, self._label, lambda sample: take(handle, sample))
            self._parts["activity"] = reader.read

    def _identify(self) -> None:
        nvml, handle = self._nvml, self._handle
        self.identity = replace(
            self.identity,
            uuid=self._ask("UUID", lambda: nvml.nvmlDeviceGetUUID(handle)) or "",
            pci_address=self._ask("PCI address", lambda: nvml.nvmlDeviceGetPciInfo(handle).busId)
            or "",
            name=self._ask("name", lambda: nvml.nvmlDeviceGetName(handle)) or "",
            sharing=sharing_of(),
        )

    def _bind(self, call: Call) -> Callable[[], list[Reading]]:
        return lambda: call(self._nvml, self._handle, self._label)

    def _read_parts(self) -> list[Reading]:
        readings = [r for what, part in self._parts.items() for r in self._ask(what, part) or ()]
        return [self._since_start.of(reading) for reading in readings]

    def _read_slow(self) -> list[Reading]:
        """Read the slow counters when they are due; else repeat the last values as not fresh."""
        if time.monotonic() < self._slow_due_seconds:
            return self._slow
        self._slow_due_seconds = time.monotonic() + _SLOW_SECONDS
        asked = (self._ask(what, self._bind(call)) or [] for what, call in SLOW.items())
        now = [self._since_start.of(reading) for readings in asked for reading in readings]
        self._slow = [replace(reading, fresh=False) for reading in now]
        return now

    def _ask(self, what: str, call: Callable[[], _Value]) -> _Value | None:
        """Make one call unless the GPU is lost; an error is logged once."""
        if self._lost:
            return None
        nvml = self._nvml
        try:
            return call()
        except nvml.NVMLError as error:
            if error.value == nvml.NVML_ERROR_GPU_IS_LOST:
                self._lose()
                return None
            absent = (nvml.NVML_ERROR_NOT_SUPPORTED, nvml.NVML_ERROR_FUNCTION_NOT_FOUND)
            self._errors.note(self._source, f"no {what}: {error}", expected=error.value in absent)
            return None

    def _lose(self) -> None:
        if not self._lost:
            self._lost = True
            _logger.error("%s fell off the bus: its node needs a look", self.identity)
