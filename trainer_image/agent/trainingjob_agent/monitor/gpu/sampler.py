"""All GPUs of a node, each read in a thread of its own, with a time-out."""

import logging
import threading
import time
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any, Protocol

from trainingjob_agent.monitor.bounded import BoundedCall
from trainingjob_agent.monitor.errors import ErrorLog
from trainingjob_agent.monitor.gpu.amd import find_amd_gpus
from trainingjob_agent.monitor.gpu.device import GpuDevice
from trainingjob_agent.monitor.gpu.fault import GpuFault
from trainingjob_agent.monitor.gpu.identity import GpuIdentity, visible_gpus
from trainingjob_agent.monitor.quantity import Reading
from trainingjob_agent.monitor.source import take

_SOURCE = "nvml"
_SILENCE = "the driver does not answer; values are missing until it does"

_logger = logging.getLogger(__name__)


class Gpu(Protocol):
    """One GPU, of whatever make, read in one thread."""

    index: int
    identity: GpuIdentity

    def read(self) -> list[Reading]:
        """Read all of its values."""
        ...

    def fault(self) -> GpuFault | None:
        """Return what is wrong with it, as far as the last reading knows."""
        ...


class GpuSampler:
    """Reads every GPU that the driver shows to this container, and that is the job's.

    A call into the driver may hang for ever. It then costs the values of that GPU until it
    returns; all others are read as before.
    """

    def __init__(self, errors: ErrorLog | None = None, devices: Path = Path("/dev")) -> None:
        """Prepare; the driver is not touched before the first `ask`.

        Args:
            errors: where errors are counted and logged.
            devices: where the devices of GPUs are.
        """
        self._devices = devices
        self._errors = errors or ErrorLog()
        self._lock = threading.Lock()
        self._found = False
        self._gpus: list[tuple[Gpu, BoundedCall[list[Reading]]]] = []
        self._discovery = BoundedCall("gpu-discovery", self._discover)

    def sample(self, timeout_seconds: float) -> list[Reading]:
        """Read all GPUs; what has not answered in time is left out, and logged once."""
        with self._lock:
            deadline = time.monotonic() + timeout_seconds
            if not self._found:
                self._discovery.ask()
                self._take(_SOURCE, self._discovery, deadline)
            for _, call in self._gpus:
                call.ask()
            readings: list[Reading] = []
            for device, call in self._gpus:
                readings += self._take(f"gpu {device.index}", call, deadline)
            return readings

    def faults(self, timeout_seconds: float) -> list[GpuFault]:
        """Look at all GPUs now; return what is wrong with them, to explain a failure by."""
        self.sample(timeout_seconds)
        return [fault for device, _ in self._gpus if (fault := device.fault())]

    def identities(self) -> list[GpuIdentity]:
        """Return which GPUs these are, as far as they have said so."""
        return [device.identity for device, _ in self._gpus]

    def _take(
        self, source: str, call: BoundedCall[list[Reading]], deadline_seconds: float
    ) -> list[Reading]:
        return take(call, source, self._errors, deadline_seconds, _SILENCE)

    def _discover(self) -> list[Reading]:
        """Find the GPUs. Without a driver there are none, and none will come."""
        devices: list[Gpu] = [*self._nvidias()]
        devices += find_amd_gpus(self._errors, len(devices), self._devices)
        self._gpus = [
            (device, BoundedCall(f"gpu-{device.index}", device.read)) for device in devices
        ]
        self._found = True
        return []

    def _nvidias(self) -> list[GpuDevice]:
        nvml: Any = import_module("pynvml")
        try:
            nvml.nvmlInit()
            count = int(nvml.nvmlDeviceGetCount())
        except (nvml.NVMLError_LibraryNotFound, nvml.NVMLError_DriverNotLoaded) as error:
            _logger.info("no GPU metrics: %s", error)
            count = 0
        except nvml.NVMLError as error:
            self._errors.note(_SOURCE, f"no GPU metrics: {error}")
            count = 0
        driver = _text(nvml, nvml.nvmlSystemGetDriverVersion) if count else ""
        visible = visible_gpus([_uuid(nvml, index) for index in range(count)])
        return [GpuDevice(nvml, index, self._errors, driver) for index in visible]


def _uuid(nvml: Any, index: int) -> str:
    return _text(nvml, lambda: nvml.nvmlDeviceGetUUID(nvml.nvmlDeviceGetHandleByIndex(index)))


def _text(nvml: Any, call: Callable[[], str]) -> str:
    """Return what the driver says; nothing where it says nothing."""
    try:
        return call()
    except nvml.NVMLError as error:
        _logger.debug("the driver does not say: %s", error)
        return ""


def find_gpu_faults(within_seconds: float = 2.0) -> list[GpuFault]:
    """Look at the GPUs of this node now, without a monitor, to explain a failure by.

    It sees a GPU that is lost; of earlier Xids only a running monitor knows
    (`SystemMonitor.gpu_faults`). A driver that does not answer in time has no faults.
    """
    return GpuSampler().faults(within_seconds)
