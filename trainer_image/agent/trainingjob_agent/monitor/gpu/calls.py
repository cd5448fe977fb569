"""Which NVML call gives which quantities, in their base units."""

from collections.abc import Callable
from typing import Any

from trainingjob_agent.monitor.gpu import quantities as q
from trainingjob_agent.monitor.quantity import Quantity, Reading

Call = Callable[[Any, Any, str], list[Reading]]
"""From NVML, the handle of a device and its label to readings; raises NVMLError."""

_ALL_LINKS = 0xFFFFFFFF
"""The scope of a field that means the sum over all NVLinks."""

_THROTTLE_REASONS = {
    "power_cap": "nvmlClocksThrottleReasonSwPowerCap",
    "thermal": "nvmlClocksThrottleReasonSwThermalSlowdown",
    "hardware_thermal": "nvmlClocksThrottleReasonHwThermalSlowdown",
    "hardware_power_brake": "nvmlClocksThrottleReasonHwPowerBrakeSlowdown",
    "hardware_slowdown": "nvmlClocksThrottleReasonHwSlowdown",
}


def memory(nvml: Any, device: Any, label: str) -> list[Reading]:
    """Read memory in use and its capacity, of a GPU or a MIG instance."""
    info = nvml.nvmlDeviceGetMemoryInfo(device)
    return [
        Reading(q.MEMORY_USED, info.used, (label,)),
        Reading(q.MEMORY_CAPACITY, info.total, (label,)),
    ]


def _one(quantity: Quantity, read: Callable[[Any, Any], float]) -> Call:
    return lambda nvml, device, label: [Reading(quantity, read(nvml, device), (label,))]


def _throttling(nvml: Any, device: Any, label: str) -> list[Reading]:
    try:
        mask = nvml.nvmlDeviceGetCurrentClocksEventReasons(device)
    except nvml.NVMLError_FunctionNotFound:  # a driver before 535
        mask = nvml.nvmlDeviceGetCurrentClocksThrottleReasons(device)
    return [
        Reading(q.THROTTLED, float(bool(mask & getattr(nvml, name))), (label, reason))
        for reason, name in _THROTTLE_REASONS.items()
    ]


def _temperature(nvml: Any, device: Any) -> float:
    try:
        return float(nvml.nvmlDeviceGetTemperatureV(device, nvml.NVML_TEMPERATURE_GPU))
    except nvml.NVMLError_FunctionNotFound:  # an older driver
        return float(nvml.nvmlDeviceGetTemperature(device, nvml.NVML_TEMPERATURE_GPU))


def _clock(quantity: Quantity, kind: str) -> Call:
    return _one(
        quantity,
        lambda nvml, device: nvml.nvmlDeviceGetClockInfo(device, getattr(nvml, kind)) * 1e6,
    )


def _ecc(quantity: Quantity, kind: str) -> Call:
    return _one(
        quantity,
        lambda nvml, device: float(
            nvml.nvmlDeviceGetTotalEccErrors(device, getattr(nvml, kind), nvml.NVML_VOLATILE_ECC)
        ),
    )


def _pcie(quantity: Quantity, counter: str) -> Call:
    # In kilobytes of 1,000 bytes; the driver measures for 20 ms and blocks that long.
    return _one(
        quantity,
        lambda nvml, device: nvml.nvmlDeviceGetPcieThroughput(device, getattr(nvml, counter)) * 1e3,
    )


def _nvlink(quantity: Quantity, field: str) -> Call:
    def kibibytes(nvml: Any, device: Any) -> float:
        values = nvml.nvmlDeviceGetFieldValues(device, [(getattr(nvml, field), _ALL_LINKS)])
        if values[0].nvmlReturn != nvml.NVML_SUCCESS:
            raise nvml.NVMLError(values[0].nvmlReturn)
        return float(values[0].value.ullVal)

    return _one(quantity, lambda nvml, device: kibibytes(nvml, device) * 1024)


FAST: dict[str, Call] = {
    "utilization": _one(
        q.UTILIZATION, lambda nvml, device: nvml.nvmlDeviceGetUtilizationRates(device).gpu / 100
    ),
    "memory": memory,
    "power": _one(q.POWER, lambda nvml, device: nvml.nvmlDeviceGetPowerUsage(device) / 1e3),
    "energy": _one(
        q.ENERGY, lambda nvml, device: nvml.nvmlDeviceGetTotalEnergyConsumption(device) / 1e3
    ),
    "temperature": _one(q.TEMPERATURE, _temperature),
    "SM clock": _clock(q.SM_CLOCK, "NVML_CLOCK_SM"),
    "memory clock": _clock(q.MEMORY_CLOCK, "NVML_CLOCK_MEM"),
    "throttle reasons": _throttling,
}
"""Made for each sample, by name for the log."""

SLOW: dict[str, Call] = {
    "power limit": _one(
        q.POWER_LIMIT, lambda nvml, device: nvml.nvmlDeviceGetEnforcedPowerLimit(device) / 1e3
    ),
    "corrected ECC errors": _ecc(q.ECC_CORRECTED, "NVML_MEMORY_ERROR_TYPE_CORRECTED"),
    "uncorrected ECC errors": _ecc(q.ECC_UNCORRECTED, "NVML_MEMORY_ERROR_TYPE_UNCORRECTED"),
    "compute processes": _one(
        q.PROCESSES,
        lambda nvml, device: len(nvml.nvmlDeviceGetComputeRunningProcesses(device)),
    ),
    "PCIe receive rate": _pcie(q.PCIE_RECEIVE, "NVML_PCIE_UTIL_RX_BYTES"),
    "PCIe transmit rate": _pcie(q.PCIE_TRANSMIT, "NVML_PCIE_UTIL_TX_BYTES"),
    "NVLink received": _nvlink(q.NVLINK_RECEIVE, "NVML_FI_DEV_NVLINK_THROUGHPUT_DATA_RX"),
    "NVLink sent": _nvlink(q.NVLINK_TRANSMIT, "NVML_FI_DEV_NVLINK_THROUGHPUT_DATA_TX"),
}
"""Made once in a while: these block, or seldom change."""
