"""CPU and memory of the pod, not of its host: control groups v1 and v2."""

import logging
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

_NO_LIMIT_BYTES = 1 << 60
"""Version 1 has no word for "no limit"; it shows the largest multiple of a page instead."""

_logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Throttling:
    """How often a CPU limit was met, since its control group exists."""

    periods: int
    throttled_periods: int
    throttled_seconds: float


@dataclass(frozen=True, slots=True)
class Cgroup:
    """The control group of this process: one directory a resource, the same one in version 2.

    A directory is None where that controller is not mounted.
    """

    version: int
    mount: Path
    cpu: Path | None
    cpuacct: Path | None
    memory: Path | None

    @classmethod
    def of_this_process(
        cls, mount: Path = Path("/sys/fs/cgroup"), membership: Path = Path("/proc/self/cgroup")
    ) -> "Cgroup":
        """Find the directories. In a container /proc may name a path which only the host has."""
        try:
            entries = [line.split(":", 2) for line in membership.read_text().splitlines()]
        except OSError as error:
            _logger.info("no control groups here: %s", error)
            entries = []
        paths = {name: path for _, names, path in entries for name in names.split(",")}
        if (mount / "cgroup.controllers").exists():
            unified = _existing(mount, paths.get("", "/"))
            return cls(2, mount, unified, unified, unified)
        cpu, cpuacct, memory = (
            _existing(mount / name, paths.get(name, "/")) if (mount / name).is_dir() else None
            for name in ("cpu", "cpuacct", "memory")
        )
        return cls(1, mount, cpu, cpuacct, memory)

    def cpu_seconds(self) -> float | None:
        """CPU time used so far, in seconds."""
        if self.cpuacct is None:
            return None
        if self.version == 2:
            microseconds = _table(self.cpuacct / "cpu.stat").get("usage_usec")
            return None if microseconds is None else microseconds / 1e6
        nanoseconds = _integer(self.cpuacct / "cpuacct.usage")
        return None if nanoseconds is None else nanoseconds / 1e9

    def cpu_limit_cores(self) -> float | None:
        """CPU limit in cores, the narrowest on the way to the root; None without a limit."""
        limits = [limit for path in self._ancestry(self.cpu) if (limit := self._cores(path))]
        return min(limits, default=None)

    def throttling(self) -> Throttling | None:
        """How the narrowest CPU limit held the pod back; None where the kernel does not say."""
        limited = [
            (cores, path) for path in self._ancestry(self.cpu) if (cores := self._cores(path))
        ]
        directory = min(limited)[1] if limited else self.cpu
        table = {} if directory is None else _table(directory / "cpu.stat")
        if "nr_periods" not in table:
            return None
        unit, per_second = ("throttled_usec", 1e6) if self.version == 2 else ("throttled_time", 1e9)
        return Throttling(
            table["nr_periods"], table.get("nr_throttled", 0), table.get(unit, 0) / per_second
        )

    def memory_working_set_bytes(self) -> int | None:
        """Memory in use without page cache that can be dropped, as the kubelet counts it."""
        if self.memory is None:
            return None
        usage_file, inactive_key = (
            ("memory.current", "inactive_file")
            if self.version == 2
            else ("memory.usage_in_bytes", "total_inactive_file")
        )
        usage = _integer(self.memory / usage_file)
        if usage is None:
            return None
        return max(0, usage - _table(self.memory / "memory.stat").get(inactive_key, 0))

    def memory_limit_bytes(self) -> int | None:
        """Memory limit in bytes, the narrowest on the way to the root; None without a limit."""
        file = "memory.max" if self.version == 2 else "memory.limit_in_bytes"
        limits = [_integer(path / file) for path in self._ancestry(self.memory)]
        return min((n for n in limits if n is not None and n < _NO_LIMIT_BYTES), default=None)

    def out_of_memory_kills(self) -> int:
        """Processes that the kernel has killed here for want of memory, since the group exists."""
        file = "memory.events" if self.version == 2 else "memory.oom_control"
        return 0 if self.memory is None else _table(self.memory / file).get("oom_kill", 0)

    def _ancestry(self, directory: Path | None) -> Iterator[Path]:
        while directory is not None and directory.is_relative_to(self.mount):
            yield directory
            directory = directory.parent

    def _cores(self, directory: Path) -> float | None:
        if self.version == 2:
            quota, _, period = (_text(directory / "cpu.max") or "max 100000").partition(" ")
            return None if quota == "max" else int(quota) / int(period)
        microseconds = _integer(directory / "cpu.cfs_quota_us")
        period_microseconds = _integer(directory / "cpu.cfs_period_us")
        if microseconds is None or not period_microseconds or microseconds <= 0:
            return None
        return microseconds / period_microseconds


def _existing(mount: Path, path: str) -> Path:
    inside = mount / path.lstrip("/")
    return inside if inside.is_dir() else mount


def _text(file: Path) -> str | None:
    try:
        return file.read_text().strip()
    except FileNotFoundError:
        return None


def _integer(file: Path) -> int | None:
    text = _text(file)
    return int(text) if text and text.lstrip("-").isdigit() else None


def _table(file: Path) -> dict[str, int]:
    rows = (line.split() for line in (_text(file) or "").splitlines())
    return {row[0]: int(row[1]) for row in rows if len(row) == 2}
