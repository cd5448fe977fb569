"""NVIDIA GPUs by NVML."""

from trainingjob_agent.monitor.gpu.fault import GpuFault
from trainingjob_agent.monitor.gpu.identity import GpuIdentity
from trainingjob_agent.monitor.gpu.sampler import GpuSampler, find_gpu_faults

__all__ = ["GpuFault", "GpuIdentity", "GpuSampler", "find_gpu_faults"]
