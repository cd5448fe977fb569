"""CPU and memory of the pod, not of its host: control groups v1 and v2."""

import functools
import logging
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

_NO_LIMIT_BYTES = 1 << 60
"""Version 1 has no word for "no limit"; it shows the largest multiple of a page instead."""

_MOST_DIGITS = 20
"""Of what 64 bits hold."""

_logger = logging.getLogger(__name__)


def _log(problem: str) -> None:
    _logger.warning("control group: %s", problem)


@dataclass(frozen=True, slots=True)
class Throttling:
    """How often a CPU limit was met, since its control group exists."""

    periods: int
    throttled_periods: int
    throttled_seconds: float


@dataclass(frozen=True, slots=True)
class Cgroup:
    """The control group of this process: one directory a resource, the same one in version 2.

    A directory is None where that controller is not mounted. No file is certain to be there, to be
    readable, or to hold what the kernel documents: such a value is None; `note` gets the problem.
    """

    version: int
    mount: Path
    cpu: Path | None
    cpuacct: Path | None
    memory: Path | None
    note: Callable[[str], None] = field(default=_log, compare=False)

    @classmethod
    def of_this_process(
        cls,
        mount: Path = Path("/sys/fs/cgroup"),
        membership: Path = Path("/proc/self/cgroup"),
        note: Callable[[str], None] = _log,
    ) -> "Cgroup":
        """Find the directories. In a container /proc may name a path which only the host has."""
        try:
            lines = membership.read_text(errors="replace").splitlines()
        except OSError as error:
            _logger.info("no control groups here: %s", error)
            lines = []
        entries = [entry for line in lines if len(entry := line.split(":", 2)) == 3]
        paths = {name: path for _, names, path in entries for name in names.split(",")}
        if _exists(mount / "cgroup.controllers"):
            unified = _existing(mount, paths.get("", "/"))
            return cls(2, mount, unified, unified, unified, note)
        cpu, cpuacct, memory = (
            _existing(mount / name, paths.get(name, "/")) if _exists(mount / name) else None
            for name in ("cpu", "cpuacct", "memory")
        )
        return cls(1, mount, cpu, cpuacct, memory, note)

    def cpu_seconds(self) -> float | None:
        """CPU time used so far, in seconds."""
        if self.cpuacct is None:
            return None
        if self.version == 2:
            microseconds = self._table(self.cpuacct / "cpu.stat").get("usage_usec")
            return None if microseconds is None else microseconds / 1e6
        nanoseconds = self._integer(self.cpuacct / "cpuacct.usage")
        return None if nanoseconds is None else nanoseconds / 1e9

    def cpu_limit_cores(self) -> float | None:
        """CPU limit in cores, the narrowest on the way to the root; None without a limit."""
        limits = [limit for path in _ancestry(self.mount, self.cpu) if (limit := self._cores(path))]
        return min(limits, default=None)

    def throttling(self) -> Throttling | None:
        """How the narrowest CPU limit held the pod back; None where the kernel does not say."""
        limited = [
            (cores, path)
            for path in _ancestry(self.mount, self.cpu)
            if (cores := self._cores(path))
        ]
        directory = min(limited)[1] if limited else self.cpu
        table = {} if directory is None else self._table(directory / "cpu.stat")
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
        usage = self._integer(self.memory / usage_file)
        if usage is None:
            return None
        return max(0, usage - (self._entry(self.memory / "memory.stat", inactive_key) or 0))

    def memory_limit_bytes(self) -> int | None:
        """Memory limit in bytes, the narrowest on the way to the root; None without a limit."""
        file = "memory.max" if self.version == 2 else "memory.limit_in_bytes"
        limits = [self._integer(path / file) for path in _ancestry(self.mount, self.memory)]
        return min((n for n in limits if n is not None and 0 < n < _NO_LIMIT_BYTES), default=None)

    def out_of_memory_kills(self) -> int:
        """Processes that the kernel has killed here for want of memory, since the group exists."""
        file = "memory.events" if self.version == 2 else "memory.oom_control"
        return 0 if self.memory is None else self._table(self.memory / file).get("oom_kill", 0)

    def stalled_seconds(self, resource: str) -> float | None:
        """Time in which some task waited for `resource`: cpu, memory or io (version 2, PSI)."""
        text = self._text(self.memory / f"{resource}.pressure") if self.memory else None
        for line in (text or "").splitlines() if self.version == 2 else ():
            kind, *pairs = line.split() or [""]
            total = _number(dict(pair.partition("=")[::2] for pair in pairs).get("total", ""))
            if kind == "some" and total is not None:
                return total / 1e6
        return None

    def storage_bytes(self) -> tuple[int, int] | None:
        """Bytes read from and written to all block devices (version 2, io.stat)."""
        text = self._text(self.memory / "io.stat") if self.memory and self.version == 2 else None
        if text is None:
            return None
        pairs = [word.partition("=")[::2] for word in text.split() if "=" in word]
        read, written = (
            sum(_number(value) or 0 for name, value in pairs if name == wanted)
            for wanted in ("rbytes", "wbytes")
        )
        return read, written

    def _cores(self, directory: Path) -> float | None:
        if self.version == 2:
            words = (self._text(directory / "cpu.max") or "max 100000").split()
            quota, period = (*map(_number, words), None, None)[:2]
        else:
            quota = self._integer(directory / "cpu.cfs_quota_us")
            period = self._integer(directory / "cpu.cfs_period_us")
        if quota is None or period is None or quota <= 0 or period <= 0:
            return None
        return quota / period

    def _text(self, file: Path) -> str | None:
        try:
            with file.open("rb", buffering=0) as kernels:
                return kernels.read().decode(errors="replace").strip()
        except FileNotFoundError:
            return None
        except OSError as error:
            self.note(f"cannot read {file}: {error.strerror}")
            return None

    def _integer(self, file: Path) -> int | None:
        return _number(self._text(file) or "")

    def _entry(self, file: Path, name: str) -> int | None:
        """Return one number of a long table, which takes a third of the time of all of it."""
        _, _, behind = f"\n{self._text(file) or ''}".partition(f"\n{name} ")
        return _number(behind.partition("\n")[0])

    def _table(self, file: Path) -> dict[str, int]:
        rows = (line.split() for line in (self._text(file) or "").splitlines())
        pairs = ((row[0], _number(row[1])) for row in rows if len(row) == 2)
        return {name: number for name, number in pairs if number is not None}


@functools.cache
def _ancestry(mount: Path, directory: Path | None) -> tuple[Path, ...]:
    """Return the groups from this one up to the root; walking up takes longer than reading them."""
    if directory is None or not directory.is_relative_to(mount):
        return ()
    return (directory, *_ancestry(mount, directory.parent))


def _number(text: str) -> int | None:
    """Return an integer of the kernel's; None for `max`, and for what is none."""
    digits = text.removeprefix("-")
    if not (digits.isascii() and digits.isdigit() and len(digits) <= _MOST_DIGITS):
        return None
    return int(text)


def _exists(path: Path) -> bool:
    try:
        return path.exists()
    except OSError:  # not even this may be read
        return False


def _existing(mount: Path, path: str) -> Path:
    """Return the directory of a group; the mount where the path leads out of it, or nowhere."""
    inside = mount / path.lstrip("/")
    return inside if ".." not in inside.parts and _exists(inside) else mount
