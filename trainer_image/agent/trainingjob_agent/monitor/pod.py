"""CPU and memory of the pod, against its limits or, where it has none, against its host."""

import logging
import os
import time
from collections.abc import Iterator

import psutil

from trainingjob_agent.monitor import quantities as q
from trainingjob_agent.monitor.cgroup import Cgroup, Throttling
from trainingjob_agent.monitor.growth import Growth
from trainingjob_agent.monitor.quantity import Reading

_PRESSURES = ("cpu", "memory", "io")

_logger = logging.getLogger(__name__)


class CpuReader:
    """CPU in use since the last reading."""

    def __init__(self, cgroup: Cgroup) -> None:
        """Note the counters of now, and on how many cores this process may run.

        Later a training may pin its threads, of which the monitor is one.
        """
        self._cgroup = cgroup
        self._host_cores = psutil.cpu_count() or 1
        self._cores = len(os.sched_getaffinity(os.getpid()))
        self._growth = Growth()
        self._of_host = cgroup.cpu_seconds() is None
        self._usage()
        self._last_throttling = cgroup.throttling()
        if cgroup.cpu_limit_cores() is None:
            _logger.info("no CPU limit here: CPU is measured against %d cores", self._cores)

    def read(self) -> list[Reading]:
        """Read use, limit and throttling, as far as they can be read."""
        usage, limit = self._usage(), self._cgroup.cpu_limit_cores()
        cores = min(limit or self._cores, float(self._cores))
        is_host = limit is None and self._cores == self._host_cores
        readings = [
            Reading(q.CPU_LIMIT, cores),
            Reading(q.CPU_LIMIT_IS_HOST, float(is_host)),
        ]
        if usage is not None:
            readings += [Reading(q.CPU_USAGE, usage), Reading(q.CPU_UTILIZATION, usage / cores)]
        throttling = None if limit is None else self._cgroup.throttling()
        if throttling is not None:
            readings += self._throttling(throttling)
        return readings

    def _throttling(self, now: Throttling) -> Iterator[Reading]:
        last, self._last_throttling = self._last_throttling or now, now
        periods = now.periods - last.periods
        throttled = now.throttled_periods - last.throttled_periods
        yield Reading(q.CPU_PERIODS, now.periods)
        yield Reading(q.CPU_THROTTLED_PERIODS, now.throttled_periods)
        yield Reading(q.CPU_THROTTLED_SECONDS, now.throttled_seconds)
        yield Reading(q.CPU_THROTTLED, throttled / periods if periods > 0 else 0.0)

    def _usage(self) -> float | None:
        """Return the cores in use; None where the control group does not say now."""
        seconds = _host_cpu_seconds() if self._of_host else self._cgroup.cpu_seconds()
        if seconds is None:
            return None
        return self._growth.of("cpu", seconds, time.monotonic()).per_second


class MemoryReader:
    """Memory in use, as the kubelet counts it."""

    def __init__(self, cgroup: Cgroup) -> None:
        self._cgroup = cgroup
        if cgroup.memory_limit_bytes() is None:
            total = psutil.virtual_memory().total
            _logger.info("no memory limit here: memory is measured against the host's %d B", total)

    def read(self) -> list[Reading]:
        """Read working set and limit."""
        host = psutil.virtual_memory()
        working_set = self._cgroup.memory_working_set_bytes()
        used = host.used if working_set is None else working_set
        limit = self._cgroup.memory_limit_bytes()
        # A limit above what the host has limits nothing.
        is_host = limit is None or limit > host.total
        ceiling = host.total if limit is None or is_host else limit
        return [
            Reading(q.MEMORY_WORKING_SET, used),
            Reading(q.MEMORY_LIMIT, ceiling),
            Reading(q.MEMORY_UTILIZATION, used / ceiling),
            Reading(q.MEMORY_LIMIT_IS_HOST, float(is_host)),
            Reading(q.HOST_MEMORY_AVAILABLE, host.available),
        ]


class WaitingReader:
    """What the pod waits for (PSI), and its traffic to block devices: control groups v2 only."""

    def __init__(self, cgroup: Cgroup) -> None:
        self._cgroup = cgroup
        self._growth = Growth()
        self.read()

    def read(self) -> list[Reading]:
        """Read what the kernel counts; it may count none of it."""
        return [*self._pressures(), *self._storage()]

    def _pressures(self) -> Iterator[Reading]:
        for resource in _PRESSURES:
            seconds = self._cgroup.stalled_seconds(resource)
            if seconds is not None:
                share = self._growth.of(resource, seconds, time.monotonic()).per_second
                yield Reading(q.PRESSURE_SECONDS, seconds, (resource,))
                yield Reading(q.PRESSURE, min(share, 1.0), (resource,))

    def _storage(self) -> Iterator[Reading]:
        counted, now = self._cgroup.storage_bytes(), time.monotonic()
        if counted is None:
            return
        read, written = (
            self._growth.of(name, value, now)
            for name, value in zip(("read", "written"), counted, strict=True)
        )
        yield Reading(q.STORAGE_READ, read.total)
        yield Reading(q.STORAGE_WRITTEN, written.total)
        yield Reading(q.STORAGE_READ_RATE, read.per_second)
        yield Reading(q.STORAGE_WRITTEN_RATE, written.per_second)


def _host_cpu_seconds() -> float:
    times = psutil.cpu_times()
    return float(sum(times) - times.idle - getattr(times, "iowait", 0.0))
