"""GPUs of AMD, by AMD SMI (the extra `amd`, or what an image with ROCm has)."""

import logging
import os
from collections.abc import Callable, Mapping
from importlib import import_module
from pathlib import Path
from typing import Any, TypeVar

from trainingjob_agent.monitor.errors import ErrorLog
from trainingjob_agent.monitor.gpu import quantities as q
from trainingjob_agent.monitor.gpu.derived import SinceStart, info, ratios
from trainingjob_agent.monitor.gpu.fault import GpuFault
from trainingjob_agent.monitor.gpu.identity import GpuIdentity, chosen_gpus
from trainingjob_agent.monitor.quantity import Quantity, Reading

_SOURCE = "amdsmi"
_DRIVER = "kfd"
"""The device by which programs compute; AMD's device plugin puts it into the pod."""
_MEBI = float(1 << 20)
_CHOICES = ("ROCR_VISIBLE_DEVICES", "HIP_VISIBLE_DEVICES", "CUDA_VISIBLE_DEVICES")
"""ROCm's environment variables, the first that is set (ROCm, "GPU isolation techniques")."""
_POWERS = ("socket_power", "current_socket_power", "average_socket_power")
"""By generation of the GPU."""

_Value = TypeVar("_Value")
_Call = Callable[[Any, Any], dict[Quantity, object]]
"""From amdsmi and the handle of a GPU to values in base units; one may be "N/A"."""

_logger = logging.getLogger(__name__)


class AmdGpu:
    """Reads one GPU. An error of one of its counters costs that value only."""

    def __init__(self, smi: Any, index: int, handle: Any, errors: ErrorLog) -> None:
        self.index = index
        self.identity = GpuIdentity(index)
        self._smi = smi
        self._handle = handle
        self._errors = errors
        self._identified = False
        self._since_start = SinceStart()

    def read(self) -> list[Reading]:
        """Read all of its values."""
        if not self._identified:
            self._identify()
        readings = [
            self._since_start.of(Reading(quantity, float(value), (str(self.index),)))
            for what, call in _CALLS.items()
            for quantity, value in (self._ask(what, call) or {}).items()
            if isinstance(value, int | float)
        ]
        return [*readings, *ratios(readings), info(self.identity)]

    def fault(self) -> GpuFault | None:
        """Return None: AMD SMI reports no errors of a job's process."""
        return None

    def _identify(self) -> None:
        self._identified = True
        asic = self._ask("name", lambda smi, gpu: smi.amdsmi_get_gpu_asic_info(gpu)) or {}
        driver = self._ask("driver", lambda smi, gpu: smi.amdsmi_get_gpu_driver_info(gpu)) or {}
        self.identity = GpuIdentity(
            self.index,
            self._ask("UUID", lambda smi, gpu: smi.amdsmi_get_gpu_device_uuid(gpu)) or "",
            self._ask("PCI address", lambda smi, gpu: smi.amdsmi_get_gpu_device_bdf(gpu)) or "",
            asic.get("market_name", ""),
            driver=driver.get("driver_version", ""),
        )

    def _ask(self, what: str, call: Callable[[Any, Any], _Value]) -> _Value | None:
        try:
            return call(self._smi, self._handle)
        except self._smi.AmdSmiLibraryException as error:
            lacks = error.get_error_code() in _lacking(self._smi)
            problem = f"no {what}: {error.get_error_info()}"
            self._errors.note(f"gpu {self.index}", problem, expected=lacks)
            return None


def find_amd_gpus(
    errors: ErrorLog,
    first_index: int,
    devices: Path,
    environment: Mapping[str, str] = os.environ,
) -> list[AmdGpu]:
    """Return the job's GPUs of AMD; none without a driver, or without AMD SMI.

    Args:
        errors: where errors are counted and logged.
        first_index: number of the first one.
        devices: `/dev`. AMD SMI lists all GPUs of the node; the pod has the devices of its own.
        environment: of this process.
    """
    if not (devices / _DRIVER).exists():
        return []
    try:
        smi: Any = import_module("amdsmi")
    except (ImportError, OSError, KeyError) as error:  # the last is amdsmi without its library
        _logger.info("no metrics of AMD GPUs: %r; trainingjob-agent[amd] has them", error)
        return []
    try:
        smi.amdsmi_init()
        handles = [
            handle
            for handle in smi.amdsmi_get_processor_handles()
            if _is_in_pod(smi, handle, devices)
        ]
        uuids = [smi.amdsmi_get_gpu_device_uuid(handle) for handle in handles]
    except smi.AmdSmiException as error:
        errors.note(_SOURCE, f"no metrics of AMD GPUs: {error}")
        return []
    choice = next((environment[name] for name in _CHOICES if name in environment), None)
    mine = range(len(handles)) if choice is None else chosen_gpus(choice, uuids)
    return [AmdGpu(smi, first_index + index, handles[index], errors) for index in mine]


def _is_in_pod(smi: Any, handle: Any, devices: Path) -> bool:
    number = smi.amdsmi_get_gpu_enumeration_info(handle)["drm_render"]
    return (devices / "dri" / f"renderD{number}").exists()


def _lacking(smi: Any) -> tuple[int, ...]:
    """Return the codes of what a GPU does not have, which is no error."""
    wrapper = smi.amdsmi_wrapper
    return (wrapper.AMDSMI_STATUS_NOT_SUPPORTED, wrapper.AMDSMI_STATUS_NOT_YET_IMPLEMENTED)


def _scaled(value: object, factor: float) -> object:
    return value * factor if isinstance(value, int | float) else value


def _power(smi: Any, gpu: Any) -> dict[Quantity, object]:
    read = smi.amdsmi_get_power_info(gpu)
    # A generation that has no such sensor says 0.
    watts = (read[name] for name in _POWERS if isinstance(read.get(name), int) and read[name] > 0)
    return {q.POWER: next(watts, None)}


def _memory(smi: Any, gpu: Any) -> dict[Quantity, object]:
    values = smi.amdsmi_get_gpu_vram_usage(gpu)
    return {
        q.MEMORY_USED: _scaled(values["vram_used"], _MEBI),
        q.MEMORY_CAPACITY: _scaled(values["vram_total"], _MEBI),
    }


def _energy(smi: Any, gpu: Any) -> dict[Quantity, object]:
    values = smi.amdsmi_get_energy_count(gpu)
    return {q.ENERGY: values["energy_accumulator"] * values["counter_resolution"] / 1e6}


def _clock(kind: str) -> Callable[[Any, Any], object]:
    return lambda smi, gpu: _scaled(
        smi.amdsmi_get_clock_info(gpu, getattr(smi.AmdSmiClkType, kind))["clk"], 1e6
    )


def _ecc(smi: Any, gpu: Any) -> dict[Quantity, object]:
    counts = smi.amdsmi_get_gpu_total_ecc_count(gpu)
    return {
        q.ECC_CORRECTED: counts["correctable_count"],
        q.ECC_UNCORRECTED: counts["uncorrectable_count"],
    }


def _temperature(smi: Any, gpu: Any) -> object:
    hottest, now = smi.AmdSmiTemperatureType.HOTSPOT, smi.AmdSmiTemperatureMetric.CURRENT
    return smi.amdsmi_get_temp_metric(gpu, hottest, now)


def _one(quantity: Quantity, read: Callable[[Any, Any], object]) -> _Call:
    return lambda smi, gpu: {quantity: read(smi, gpu)}


_CALLS: dict[str, _Call] = {
    "utilization": _one(
        q.UTILIZATION,
        lambda smi, gpu: _scaled(smi.amdsmi_get_gpu_activity(gpu)["gfx_activity"], 0.01),
    ),
    "memory": _memory,
    "power": _power,
    "power limit": _one(
        q.POWER_LIMIT,
        lambda smi, gpu: _scaled(smi.amdsmi_get_power_cap_info(gpu)["power_cap"], 1e-6),
    ),
    "energy": _energy,
    "temperature": _one(q.TEMPERATURE, _temperature),
    "clock": _one(q.SM_CLOCK, _clock("GFX")),
    "memory clock": _one(q.MEMORY_CLOCK, _clock("MEM")),
    "ECC errors": _ecc,
    "compute processes": _one(
        q.PROCESSES, lambda smi, gpu: len(smi.amdsmi_get_gpu_process_list(gpu))
    ),
}
"""Made for each sample, by name for the log."""
