"""The cgroup under which a node's pods run, in cgroup v1 and v2."""

from __future__ import annotations

import time
from pathlib import Path

from localcluster.errors import ClusterError

MOUNT = Path("/sys/fs/cgroup")
V2_CONTROLLERS = ("cpuset", "cpu", "io", "memory", "hugetlb", "pids")
EMPTY_DEADLINE_SECONDS = 10.0


def hierarchies(mount: Path = MOUNT) -> list[Path]:
    """The one root of cgroup v2, or each controller's root of v1."""
    if (mount / "cgroup.controllers").exists():
        return [mount]
    return sorted(
        path.parent for path in mount.glob("*/cgroup.procs") if not path.parent.is_symlink()
    )


def create(name: str, mount: Path = MOUNT) -> None:
    """Make the cgroup ``name`` in every hierarchy, with all controllers for its children."""
    for root in hierarchies(mount):
        group = root / name
        group.mkdir(exist_ok=True)
        if (root / "cgroup.controllers").exists() and root == mount:
            available = (root / "cgroup.controllers").read_text().split()
            wanted = [f"+{controller}" for controller in V2_CONTROLLERS if controller in available]
            (root / "cgroup.subtree_control").write_text(" ".join(wanted))
        for setting in ("cpuset.cpus", "cpuset.mems"):
            if (group / setting).exists() and root != mount:
                (group / setting).write_text((root / setting).read_text())


def remove(name: str, mount: Path = MOUNT) -> None:
    """Remove the cgroup ``name`` and all below, innermost first.

    Raises:
        ClusterError: a group still has processes.
    """
    deadline = time.monotonic() + EMPTY_DEADLINE_SECONDS
    for root in hierarchies(mount):
        group = root / name
        if not group.exists():
            continue
        below = sorted((path for path in group.rglob("*") if path.is_dir()), reverse=True)
        for directory in [*below, group]:
            _remove_when_empty(directory, deadline)


def _remove_when_empty(directory: Path, deadline: float) -> None:
    while True:
        try:
            directory.rmdir()
        except FileNotFoundError:
            return
        except OSError as error:  # the kernel counts a killed process for a moment longer
            if time.monotonic() > deadline:
                raise ClusterError(f"cgroup {directory} is still in use") from error
            time.sleep(0.05)
        else:
            return
