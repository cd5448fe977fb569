"""All quantities of a GPU. Its label is its number; that of MIG instance 1 of GPU 0 is `0:1`."""

from trainingjob_agent.monitor.quantity import Kind, Quantity

_PERCENT = 100.0
_MEGA = 1e-6
_GPU = ("gpu",)


def _gpu(
    help_: str,
    prometheus: str,
    mlflow: str,
    factor: float = 1.0,
    kind: Kind = Kind.GAUGE,
    *,
    basic: bool = False,
    steady: bool = False,
) -> Quantity:
    """Make a quantity `trainingjob_gpu_…`; in MLflow it is `gpu_0_…`."""
    name = f"trainingjob_gpu_{prometheus}" if prometheus else ""
    return Quantity(help_, name, f"gpu_{{0}}_{mlflow}", factor, _GPU, kind, basic, steady)


UTILIZATION = _gpu(
    "Share of time a kernel ran",
    "utilization_ratio",
    "utilization_percentage",
    _PERCENT,
    basic=True,
)
MEMORY_USED = _gpu(
    "GPU memory in use",
    "memory_used_bytes",
    "memory_usage_megabytes",
    _MEGA,
    basic=True,
)
MEMORY_CAPACITY = _gpu(
    "GPU memory there is",
    "memory_capacity_bytes",
    "memory_capacity_megabytes",
    _MEGA,
    steady=True,
)
MEMORY_UTILIZATION = _gpu(
    "Share of GPU memory in use",
    "",
    "memory_usage_percentage",
    _PERCENT,
    basic=True,
)
POWER = _gpu(
    "Power drawn",
    "power_watts",
    "power_usage_watts",
    basic=True,
)
POWER_LIMIT = _gpu(
    "Power limit in force",
    "power_limit_watts",
    "power_limit_watts",
    steady=True,
)
POWER_UTILIZATION = _gpu("Power as a share of its limit", "", "power_usage_percentage", _PERCENT)
ENERGY = _gpu(
    "Energy used since the monitor started", "energy_joules", "energy_joules", kind=Kind.COUNTER
)
TEMPERATURE = _gpu("Temperature of the chip", "temperature_celsius", "temperature_celsius")
SM_CLOCK = _gpu("Clock of the multiprocessors", "sm_clock_hertz", "sm_clock_megahertz", _MEGA)
MEMORY_CLOCK = _gpu("Clock of the memory", "memory_clock_hertz", "memory_clock_megahertz", _MEGA)
THROTTLED = Quantity(
    "1 while the clocks are lowered for that reason",
    "trainingjob_gpu_throttled",
    "gpu_{0}_throttled_{1}",
    labels=("gpu", "reason"),
    steady=True,
)
ECC_CORRECTED = _gpu(
    "Corrected memory errors since the driver started",
    "ecc_corrected_errors",
    "ecc_corrected_errors",
    kind=Kind.COUNTER,
    steady=True,
)
ECC_UNCORRECTED = _gpu(
    "Uncorrected memory errors since the driver started",
    "ecc_uncorrected_errors",
    "ecc_uncorrected_errors",
    kind=Kind.COUNTER,
    steady=True,
)
XID_ERRORS = Quantity(
    "Critical errors that the driver reported since the monitor started, by Xid number",
    "trainingjob_gpu_xid_errors",
    "gpu_{0}_xid_{1}_errors",
    labels=("gpu", "xid"),
    kind=Kind.COUNTER,
    steady=True,
)
PROCESSES = _gpu(
    "Processes that compute on the GPU, of other pods, too: it is shared if there are more than "
    "the job's",
    "compute_processes",
    "compute_processes",
    steady=True,
)
INFO = Quantity(
    "1; which GPU it is, by what it is shared (MIG, MPS, time-slicing), and the version of its "
    "driver",
    "trainingjob_gpu_info",
    labels=("gpu", "uuid", "pci_address", "name", "sharing", "driver"),
)
LOST = _gpu(
    "1 if the GPU fell off the bus",
    "lost",
    "lost",
    steady=True,
)
PCIE_RECEIVE = _gpu(
    "Received over PCIe per second, of 20 ms each minute",
    "pcie_receive_bytes_per_second",
    "pcie_receive_megabytes_per_second",
    _MEGA,
)
PCIE_TRANSMIT = _gpu(
    "Sent over PCIe per second, of 20 ms each minute",
    "pcie_transmit_bytes_per_second",
    "pcie_transmit_megabytes_per_second",
    _MEGA,
)
NVLINK_RECEIVE = _gpu(
    "Received over all NVLinks since the monitor started",
    "nvlink_receive_bytes",
    "nvlink_receive_megabytes",
    _MEGA,
    Kind.COUNTER,
)
NVLINK_TRANSMIT = _gpu(
    "Sent over all NVLinks since the monitor started",
    "nvlink_transmit_bytes",
    "nvlink_transmit_megabytes",
    _MEGA,
    Kind.COUNTER,
)
GRAPHICS_ACTIVE = _gpu(
    "Share of time anything ran (GPM)", "graphics_active_ratio", "active_percentage", _PERCENT
)
SM_ACTIVE = _gpu(
    "Share of multiprocessors that were busy (GPM)",
    "sm_active_ratio",
    "sm_active_percentage",
    _PERCENT,
    basic=True,
)
SM_OCCUPANCY = _gpu(
    "Warps active, as a share of what fits (GPM)",
    "sm_occupancy_ratio",
    "sm_occupancy_percentage",
    _PERCENT,
)
TENSOR_ACTIVE = _gpu(
    "Share of time the tensor cores worked (GPM)",
    "tensor_active_ratio",
    "tensor_active_percentage",
    _PERCENT,
)
DRAM_ACTIVE = _gpu(
    "Memory bandwidth in use (GPM)", "dram_active_ratio", "dram_active_percentage", _PERCENT
)
