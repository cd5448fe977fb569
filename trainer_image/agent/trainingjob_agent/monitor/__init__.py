"""System and GPU metrics of one node, sampled by a thread."""

from trainingjob_agent.monitor.gpu import GpuFault, find_gpu_faults
from trainingjob_agent.monitor.quantity import Kind, Quantity, Reading
from trainingjob_agent.monitor.sample import SystemSample
from trainingjob_agent.monitor.system_monitor import MetricSink, SystemMonitor

__all__ = [
    "GpuFault",
    "Kind",
    "MetricSink",
    "Quantity",
    "Reading",
    "SystemMonitor",
    "SystemSample",
    "find_gpu_faults",
]
