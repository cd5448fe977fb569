"""Takes samples: control group, processes, network, volumes, GPUs."""

import time
from collections.abc import Callable, Mapping

from trainingjob_agent.monitor.cgroup import Cgroup
from trainingjob_agent.monitor.errors import ErrorLog
from trainingjob_agent.monitor.gpu import GpuFault, GpuIdentity, GpuSampler
from trainingjob_agent.monitor.network import InfinibandReader, NetworkReader
from trainingjob_agent.monitor.pod import CpuReader, MemoryReader, WaitingReader
from trainingjob_agent.monitor.processes import ProcessReader
from trainingjob_agent.monitor.quantity import Reading
from trainingjob_agent.monitor.sample import SystemSample
from trainingjob_agent.monitor.source import Reader, Source, Together
from trainingjob_agent.monitor.volumes import VolumeReader

_TIMEOUT_SECONDS = 2.0
"""For all sources together: longer than a healthy driver takes, shorter than an interval."""


class SystemSampler:
    """Samples one node. What cannot be read costs its own values only, and is logged once."""

    def __init__(
        self,
        sources: Mapping[str, Callable[[], Reader]] | None = None,
        timeout_seconds: float = _TIMEOUT_SECONDS,
    ) -> None:
        """Prepare; nothing is read yet.

        Args:
            sources: makers of readers by name, besides the usual ones or in place of them.
            timeout_seconds: how long a sample waits.
        """
        self._timeout_seconds = timeout_seconds
        self._errors = errors = ErrorLog()
        self._gpus = GpuSampler(errors)
        self._opened = False

        def cgroup() -> Cgroup:
            return Cgroup.of_this_process(note=lambda problem: errors.note("cgroup", problem))

        files: dict[str, Callable[[], Reader]] = {
            "cpu": lambda: CpuReader(cgroup()),
            "memory": lambda: MemoryReader(cgroup()),
            "pressure": lambda: WaitingReader(cgroup()),
            "network": NetworkReader,
        }
        others = dict(sources or {})
        files.update({name: others.pop(name) for name in files.keys() & others.keys()})
        makers: dict[str, Callable[[], Reader]] = {
            "pod": lambda: Together(files, errors),
            "infiniband": InfinibandReader,
            "processes": ProcessReader,
            "volumes": lambda: VolumeReader(errors=errors),
            **others,
        }
        self._sources = [Source(name, make, errors) for name, make in makers.items()]

    def open(self) -> None:
        """Note the counters of now, against which the first sample is measured."""
        self._opened = True
        self._ask()

    def sample(self) -> SystemSample:
        """Take one sample now."""
        if not self._opened:
            self.open()
        timestamp = time.time_ns() // 1_000_000
        readings = self._ask()
        readings += self._gpus.sample(self._timeout_seconds)
        return SystemSample(timestamp, (*readings, *self._errors.readings()))

    def gpu_faults(self) -> list[GpuFault]:
        """Look at the GPUs now; return what is wrong with them."""
        return self._gpus.faults(self._timeout_seconds)

    def gpu_identities(self) -> list[GpuIdentity]:
        """Return which GPUs the last sample is of."""
        return self._gpus.identities()

    def _ask(self) -> list[Reading]:
        for source in self._sources:
            source.ask()
        deadline = time.monotonic() + self._timeout_seconds
        return [reading for source in self._sources for reading in source.take(deadline)]
