"""MIG instances: parts of one GPU, each with its own memory and multiprocessors."""

from typing import Any

from trainingjob_agent.monitor.gpu import calls
from trainingjob_agent.monitor.gpu.gpm import GpmReader
from trainingjob_agent.monitor.quantity import Reading


class MigInstance:
    """One instance that this container sees, labelled `GPU:INSTANCE`."""

    def __init__(self, nvml: Any, label: str, handle: Any) -> None:
        self.label = label
        self._nvml = nvml
        self._handle = handle

    def memory(self) -> list[Reading]:
        """Read its memory.

        Raises:
            NVMLError: it does not report that.
        """
        return calls.memory(self._nvml, self._handle, self.label)

    def activity(self, gpu: Any) -> GpmReader:
        """Return a reader of its activity, which its GPU (a handle) counts.

        Raises:
            NVMLError: it does not say which instance it is.
        """
        number = self._nvml.nvmlDeviceGetGpuInstanceId(self._handle)
        return GpmReader(
            self._nvml,
            self.label,
            lambda sample: self._nvml.nvmlGpmMigSampleGet(gpu, number, sample),
        )


def find_mig_instances(nvml: Any, gpu: int, handle: Any) -> list[MigInstance]:
    """Return the instances of a GPU in MIG mode; none if it is not.

    Raises:
        NVMLError: the GPU knows no MIG.
    """
    mode, _ = nvml.nvmlDeviceGetMigMode(handle)
    if mode != nvml.NVML_DEVICE_MIG_ENABLE:
        return []
    found = []
    for number in range(nvml.nvmlDeviceGetMaxMigDeviceCount(handle)):
        try:
            instance = nvml.nvmlDeviceGetMigDeviceHandleByIndex(handle, number)
        except nvml.NVMLError_NotFound:
            continue  # numbers may have gaps
        found.append(MigInstance(nvml, f"{gpu}:{number}", instance))
    return found
