"""CPU and memory of the pod, against its limits or, where it has none, against its host."""

import logging
import time
from collections.abc import Iterator

import psutil

from trainingjob_agent.monitor import quantities as q
from trainingjob_agent.monitor.cgroup import Cgroup, Throttling
from trainingjob_agent.monitor.quantity import Reading

_logger = logging.getLogger(__name__)


class CpuReader:
    """CPU in use since the last reading."""

    def __init__(self, cgroup: Cgroup) -> None:
        self._cgroup = cgroup
        self._last = time.monotonic(), self._cpu_seconds()
        self._last_throttling = cgroup.throttling()
        if cgroup.cpu_limit_cores() is None:
            cores = psutil.cpu_count()
            _logger.info("no CPU limit here: CPU is measured against the host's %s cores", cores)

    def read(self) -> list[Reading]:
        """Read use, limit and throttling."""
        (then, used_then), (now, used_now) = self._last, (time.monotonic(), self._cpu_seconds())
        self._last = now, used_now
        usage = max(0.0, used_now - used_then) / max(now - then, 1e-6)
        limit = self._cgroup.cpu_limit_cores()
        cores = limit or float(psutil.cpu_count() or 1)
        readings = [
            Reading(q.CPU_USAGE, usage),
            Reading(q.CPU_LIMIT, cores),
            Reading(q.CPU_UTILIZATION, usage / cores),
            Reading(q.CPU_LIMIT_IS_HOST, float(limit is None)),
        ]
        throttling = self._cgroup.throttling()
        if limit is not None and throttling is not None:
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

    def _cpu_seconds(self) -> float:
        seconds = self._cgroup.cpu_seconds()
        if seconds is not None:
            return seconds
        times = psutil.cpu_times()
        return sum(times) - times.idle - getattr(times, "iowait", 0.0)


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
