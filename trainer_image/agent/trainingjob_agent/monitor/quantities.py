"""All quantities of a node but its GPUs'. MLflow's megabytes have 10^6 bytes, as its own have."""

from trainingjob_agent.monitor.quantity import Kind, Quantity

_PERCENT = 100.0
_MEGA = 1e-6

CPU_USAGE = Quantity("CPU in use by the pod", "trainingjob_cpu_usage_cores")
CPU_LIMIT = Quantity(
    "CPU limit of the pod, else the cores that it may run on",
    "trainingjob_cpu_limit_cores",
    "cpu_limit_cores",
    steady=True,
)
CPU_UTILIZATION = Quantity(
    "CPU in use by the pod as a share of its limit",
    "trainingjob_cpu_utilization_ratio",
    "cpu_utilization_percentage",
    _PERCENT,
    basic=True,
)
CPU_LIMIT_IS_HOST = Quantity(
    "1 if the pod may use all cores of its host, which stand for its CPU limit then",
    "trainingjob_cpu_limit_is_host",
    "cpu_limit_is_host",
    steady=True,
)
CPU_PERIODS = Quantity(
    "Scheduling periods in which the pod wanted CPU",
    "trainingjob_cpu_periods",
    kind=Kind.COUNTER,
)
CPU_THROTTLED_PERIODS = Quantity(
    "Scheduling periods in which the pod used up its CPU limit",
    "trainingjob_cpu_throttled_periods",
    kind=Kind.COUNTER,
)
CPU_THROTTLED_SECONDS = Quantity(
    "Time that threads of the pod waited for its CPU limit",
    "trainingjob_cpu_throttled_seconds",
    "cpu_throttled_seconds",
    kind=Kind.COUNTER,
)
CPU_THROTTLED = Quantity(
    "Share of scheduling periods since the last sample in which the pod was throttled",
    mlflow="cpu_throttled_percentage",
    factor=_PERCENT,
    basic=True,
)

MEMORY_WORKING_SET = Quantity(
    "Memory in use by the pod, without droppable page cache",
    "trainingjob_memory_working_set_bytes",
    "system_memory_usage_megabytes",
    _MEGA,
    basic=True,
)
MEMORY_LIMIT = Quantity(
    "Memory limit of the pod, else the memory of its host",
    "trainingjob_memory_limit_bytes",
    "system_memory_limit_megabytes",
    _MEGA,
    steady=True,
)
MEMORY_UTILIZATION = Quantity(
    "Memory in use by the pod as a share of its limit",
    "trainingjob_memory_utilization_ratio",
    "system_memory_usage_percentage",
    _PERCENT,
    basic=True,
)
MEMORY_LIMIT_IS_HOST = Quantity(
    "1 if the pod has no memory limit, so that its host's memory stands for it",
    "trainingjob_memory_limit_is_host",
    "system_memory_limit_is_host",
    steady=True,
)
HOST_MEMORY_AVAILABLE = Quantity(
    "Memory that the host can still give; where the pod has no limit, this is what runs out",
    "trainingjob_host_memory_available_bytes",
    "host_memory_available_megabytes",
    _MEGA,
)

NETWORK_RECEIVE = Quantity(
    "Received over the network, loopback left out, since the monitor started",
    "trainingjob_network_receive_bytes",
    "network_receive_megabytes",
    _MEGA,
    kind=Kind.COUNTER,
)
NETWORK_TRANSMIT = Quantity(
    "Sent over the network, loopback left out, since the monitor started",
    "trainingjob_network_transmit_bytes",
    "network_transmit_megabytes",
    _MEGA,
    kind=Kind.COUNTER,
)
NETWORK_RECEIVE_RATE = Quantity(
    "Received over the network per second since the last sample",
    mlflow="network_receive_megabytes_per_second",
    factor=_MEGA,
    basic=True,
)
NETWORK_TRANSMIT_RATE = Quantity(
    "Sent over the network per second since the last sample",
    mlflow="network_transmit_megabytes_per_second",
    factor=_MEGA,
    basic=True,
)

_PORT = ("port",)

INFINIBAND_RECEIVE = Quantity(
    "Received over an InfiniBand or RoCE port since the monitor started",
    "trainingjob_infiniband_receive_bytes",
    "infiniband_{0}_receive_megabytes",
    _MEGA,
    _PORT,
    Kind.COUNTER,
)
INFINIBAND_TRANSMIT = Quantity(
    "Sent over an InfiniBand or RoCE port since the monitor started",
    "trainingjob_infiniband_transmit_bytes",
    "infiniband_{0}_transmit_megabytes",
    _MEGA,
    _PORT,
    Kind.COUNTER,
)
INFINIBAND_RECEIVE_RATE = Quantity(
    "Received over an InfiniBand or RoCE port per second since the last sample",
    mlflow="infiniband_{0}_receive_megabytes_per_second",
    factor=_MEGA,
    labels=_PORT,
)
INFINIBAND_TRANSMIT_RATE = Quantity(
    "Sent over an InfiniBand or RoCE port per second since the last sample",
    mlflow="infiniband_{0}_transmit_megabytes_per_second",
    factor=_MEGA,
    labels=_PORT,
)

_RESOURCE = ("resource",)

PRESSURE_SECONDS = Quantity(
    "Time in which some thread of the pod waited for CPU, memory or storage (PSI)",
    "trainingjob_pressure_stalled_seconds",
    labels=_RESOURCE,
    kind=Kind.COUNTER,
)
PRESSURE = Quantity(
    "Share of the time since the last sample in which some thread of the pod waited for it (PSI)",
    mlflow="{0}_pressure_percentage",
    factor=_PERCENT,
    labels=_RESOURCE,
    basic=True,
)

STORAGE_READ = Quantity(
    "Read from block devices by the pod since the monitor started",
    "trainingjob_storage_read_bytes",
    "storage_read_megabytes",
    _MEGA,
    kind=Kind.COUNTER,
)
STORAGE_WRITTEN = Quantity(
    "Written to block devices by the pod since the monitor started",
    "trainingjob_storage_written_bytes",
    "storage_written_megabytes",
    _MEGA,
    kind=Kind.COUNTER,
)
STORAGE_READ_RATE = Quantity(
    "Read from block devices by the pod per second since the last sample",
    mlflow="storage_read_megabytes_per_second",
    factor=_MEGA,
)
STORAGE_WRITTEN_RATE = Quantity(
    "Written to block devices by the pod per second since the last sample",
    mlflow="storage_written_megabytes_per_second",
    factor=_MEGA,
)

_VOLUME_USED = "trainingjob_volume_used_bytes"
_VOLUME_AVAILABLE = "trainingjob_volume_available_bytes"
_USED_HELP = "In use on the file system mounted there"
_AVAILABLE_HELP = "Free for this user on the file system mounted there"
_PATH = ("path",)

DISK_USED = Quantity(_USED_HELP, _VOLUME_USED, "disk_usage_megabytes", _MEGA, _PATH)
DISK_AVAILABLE = Quantity(
    _AVAILABLE_HELP, _VOLUME_AVAILABLE, "disk_available_megabytes", _MEGA, _PATH
)
DISK_UTILIZATION = Quantity(
    "Share of the root file system in use",
    mlflow="disk_usage_percentage",
    factor=_PERCENT,
    basic=True,
)
VOLUME_USED = Quantity(_USED_HELP, _VOLUME_USED, "volume_{0}_usage_megabytes", _MEGA, _PATH)
VOLUME_AVAILABLE = Quantity(
    _AVAILABLE_HELP, _VOLUME_AVAILABLE, "volume_{0}_available_megabytes", _MEGA, _PATH
)
VOLUME_UTILIZATION = Quantity(
    "Share of the file system in use",
    mlflow="volume_{0}_usage_percentage",
    factor=_PERCENT,
    labels=_PATH,
    basic=True,
)

_RANK = ("rank",)

PROCESS_MEMORY = Quantity(
    "Resident memory of the process of one rank",
    "trainingjob_process_resident_memory_bytes",
    "rank_{0}_memory_usage_megabytes",
    _MEGA,
    _RANK,
)
PROCESS_THREADS = Quantity(
    "Threads of the process of one rank",
    "trainingjob_process_threads",
    "rank_{0}_threads",
    labels=_RANK,
)
PROCESS_OPEN_FILES = Quantity(
    "Files, sockets and pipes that the process of one rank has open",
    "trainingjob_process_open_files",
    "rank_{0}_open_files",
    labels=_RANK,
)
WORKER_MEMORY = Quantity(
    "Resident memory of all that one rank has started, such as workers of a DataLoader",
    "trainingjob_worker_resident_memory_bytes",
    "rank_{0}_workers_memory_usage_megabytes",
    _MEGA,
    _RANK,
)
WORKERS = Quantity(
    "Processes that one rank has started, such as workers of a DataLoader",
    "trainingjob_worker_processes",
    "rank_{0}_workers",
    labels=_RANK,
)
TORCH_ALLOCATED = Quantity(
    "GPU memory in tensors of one rank, by torch's allocator",
    "trainingjob_torch_allocated_bytes",
    "rank_{0}_torch_allocated_megabytes",
    _MEGA,
    _RANK,
)
TORCH_ALLOCATED_PEAK = Quantity(
    "The most GPU memory that was ever in tensors of one rank, by torch's allocator",
    "trainingjob_torch_allocated_peak_bytes",
    "rank_{0}_torch_allocated_peak_megabytes",
    _MEGA,
    _RANK,
    basic=True,
)
TORCH_RESERVED = Quantity(
    "GPU memory that torch's allocator of one rank holds, in tensors or not",
    "trainingjob_torch_reserved_bytes",
    "rank_{0}_torch_reserved_megabytes",
    _MEGA,
    _RANK,
    basic=True,
)
TORCH_RETRIES = Quantity(
    "Times that torch's allocator of one rank gave all back and tried again, short of memory",
    "trainingjob_torch_allocation_retries",
    "rank_{0}_torch_allocation_retries",
    labels=_RANK,
    kind=Kind.COUNTER,
    steady=True,
)

MONITOR_ERRORS = Quantity(
    "Values that the monitor could not read",
    "trainingjob_monitor_errors",
    labels=("source",),
    kind=Kind.COUNTER,
)
