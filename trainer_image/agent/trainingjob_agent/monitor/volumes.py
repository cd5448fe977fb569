"""Space on the root file system and on every volume that is mounted into the pod."""

import os
import stat
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path

from trainingjob_agent.monitor import quantities as q
from trainingjob_agent.monitor.errors import ErrorLog
from trainingjob_agent.monitor.quantity import Reading

_ROOT = "/"
_SHARED_MEMORY = "/dev/shm"  # noqa: S108 - a mount point, not a place for files
_NO_STORAGE = frozenset(
    {"autofs", "binfmt_misc", "bpf", "cgroup", "cgroup2", "configfs", "debugfs", "devpts"}
    | {"devtmpfs", "efivarfs", "fusectl", "hugetlbfs", "mqueue", "nsfs", "proc", "pstore"}
    | {"rpc_pipefs", "securityfs", "squashfs", "sysfs", "tmpfs", "tracefs"}
)
_SYSTEM_PATHS = ("/boot", "/dev", "/etc", "/proc", "/run", "/sys", "/usr", "/var/run")


@lru_cache(maxsize=1)
def mount_points(mounts: str) -> list[str]:
    """Return where storage is mounted: the root, volumes, shared memory; no secrets.

    Args:
        mounts: the kernel's list of what is mounted (man 5 proc_pid_mounts). It seldom changes.
    """
    found = [_ROOT]
    for line in mounts.splitlines():
        _, escaped, kind = line.split(" ")[:3]
        path = escaped.encode().decode("unicode_escape")
        system = any(Path(path).is_relative_to(system) for system in _SYSTEM_PATHS)
        storage = kind not in _NO_STORAGE and not system
        if (storage or path == _SHARED_MEMORY) and path not in found:
            found.append(path)
    return found


class VolumeReader:
    """Space of each volume. With a network file system the call may hang."""

    def __init__(
        self, mounts: Path = Path("/proc/self/mounts"), errors: ErrorLog | None = None
    ) -> None:
        """Prepare.

        Args:
            mounts: the kernel's list of what is mounted.
            errors: where the errors of single volumes are counted and logged.
        """
        self._mounts = mounts
        self._errors = errors or ErrorLog()

    def read(self) -> list[Reading]:
        """Read all volumes.

        Raises:
            OSError: the list of mounts cannot be read.
        """
        readings: list[Reading] = []
        for path in mount_points(self._mounts.read_text(errors="surrogateescape")):
            try:
                readings += _read_one(path)
            except OSError as error:
                self._errors.note("volumes", f"no space of {path}: {error}")
        return readings


def _read_one(path: str) -> Iterator[Reading]:
    if not stat.S_ISDIR(Path(path).stat().st_mode):
        return  # a single file, such as the container's /etc/hosts
    space = os.statvfs(path)
    used = (space.f_blocks - space.f_bfree) * space.f_frsize
    available = space.f_bavail * space.f_frsize
    share = used / (used + available) if used + available else 0.0
    if path == _ROOT:
        yield Reading(q.DISK_USED, used, (path,))
        yield Reading(q.DISK_AVAILABLE, available, (path,))
        yield Reading(q.DISK_UTILIZATION, share)
        return
    yield Reading(q.VOLUME_USED, used, (path,))
    yield Reading(q.VOLUME_AVAILABLE, available, (path,))
    yield Reading(q.VOLUME_UTILIZATION, share, (path,))
