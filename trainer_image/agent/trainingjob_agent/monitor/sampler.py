"""Takes samples: control group, processes, network, volumes, GPUs."""

import time
from typing import TYPE_CHECKING

from trainingjob_agent.monitor.bounded import BoundedCall
from trainingjob_agent.monitor.cgroup import Cgroup
from trainingjob_agent.monitor.errors import ErrorLog
from trainingjob_agent.monitor.gpu import GpuFault, GpuSampler
from trainingjob_agent.monitor.network import NetworkReader
from trainingjob_agent.monitor.pod import CpuReader, MemoryReader
from trainingjob_agent.monitor.processes import ProcessReader
from trainingjob_agent.monitor.sample import SystemSample
from trainingjob_agent.monitor.volumes import VolumeReader

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Protocol

    from trainingjob_agent.monitor.quantity import Reading

    class Reader(Protocol):
        """Reads some quantities."""

        def read(self) -> list[Reading]:
            """Read them now."""
            ...


_TIMEOUT_SECONDS = 2.0
"""For volumes and for GPUs: longer than a healthy driver takes, shorter than an interval."""


class SystemSampler:
    """Samples one node. What cannot be read costs its own values only, and is logged once."""

    def __init__(
        self,
        cgroup: Cgroup | None = None,
        volumes: VolumeReader | None = None,
        timeout_seconds: float = _TIMEOUT_SECONDS,
        processes: "Reader | None" = None,
    ) -> None:
        """Note the counters of now.

        Args:
            cgroup: where the pod's limits are; by default that of this process.
            volumes: by default all that is mounted here.
            timeout_seconds: how long a sample waits for volumes, and then for GPUs.
            processes: by default the ranks that torchrun has started beside this one.
        """
        self._timeout_seconds = timeout_seconds
        self._errors = ErrorLog()
        self._gpus = GpuSampler(self._errors)
        self._volumes = BoundedCall("volumes", (volumes or VolumeReader(errors=self._errors)).read)
        cgroup = cgroup or Cgroup.of_this_process()
        self._parts: dict[str, Callable[[], list[Reading]]] = {
            "cpu": CpuReader(cgroup).read,
            "memory": MemoryReader(cgroup).read,
            "network": NetworkReader().read,
            "processes": (processes or ProcessReader()).read,
            "volumes": self._read_volumes,
        }

    def sample(self) -> SystemSample:
        """Take one sample now."""
        timestamp = time.time_ns() // 1_000_000
        self._volumes.ask()
        readings: list[Reading] = []
        for source, read in self._parts.items():
            try:
                readings += read()
            except Exception as error:  # noqa: BLE001 - noted below; the other parts are read
                self._errors.note(source, repr(error))
        readings += self._gpus.sample(self._timeout_seconds)
        return SystemSample(timestamp, (*readings, *self._errors.readings()))

    def gpu_faults(self) -> list[GpuFault]:
        """Look at the GPUs now; return what is wrong with them."""
        return self._gpus.faults(self._timeout_seconds)

    def _read_volumes(self) -> "list[Reading]":
        return self._volumes.answer(time.monotonic() + self._timeout_seconds) or []
