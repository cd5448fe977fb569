"""What a cluster can leave behind on the machine, seen from outside of the cluster."""

import json
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import psutil

CGROUPS = Path("/sys/fs/cgroup")
CGROUP_PREFIX = "trainingjob-node-"
MOUNT_POINT = 4
# Settings of the whole machine that a kubelet changes.
KERNEL_SETTINGS = (
    "kernel/keys/root_maxbytes",
    "kernel/keys/root_maxkeys",
    "kernel/panic",
    "kernel/panic_on_oops",
    "vm/overcommit_memory",
    "vm/panic_on_oom",
)

Traces = dict[str, set[str]]


class Machine:
    """The machine as it was before a cluster.

    Clusters that run already are not looked at: their pods come and go as they like.
    """

    def __init__(self, cache: Path) -> None:
        self._cache = cache
        self._others = {path.name for path in CGROUPS.glob(f"**/{CGROUP_PREFIX}*")}
        self._before = self._traces()

    def left_behind(self) -> Traces:
        """What is there now and was not before, by kind; only kinds with something."""
        now = self._traces()
        return {kind: new for kind in now if (new := now[kind] - self._before[kind])}

    def _traces(self) -> Traces:
        return {
            "processes": {f"{process.pid} {process.name()}" for process in self._processes()},
            "links": {link["ifname"] for link in _ip("link")},
            "routes": {_route(route) for route in _routes()},
            "mounts": set(_mount_points()),
            "network namespaces": set(self._network_namespaces()),
            "cgroups": set(self._cgroups()),
            "nftables": set(_nftables()),
            "kernel settings": set(_kernel_settings()),
        }

    def _processes(self) -> Iterator[psutil.Process]:
        """Processes of the cluster: the cache's path is in their command line or environment."""
        for process in psutil.process_iter():
            with suppress(psutil.Error):
                said = [*process.cmdline(), *process.environ().values()]
                if any(str(self._cache) in text for text in said):
                    yield process

    def _network_namespaces(self) -> Iterator[str]:
        for process in Path("/proc").glob("[0-9]*"):
            with suppress(FileNotFoundError, ProcessLookupError, PermissionError):
                cgroup = (process / "cgroup").read_text()
                if not any(other in cgroup for other in self._others):
                    yield str((process / "ns" / "net").readlink())

    def _cgroups(self) -> Iterator[str]:
        for path in CGROUPS.glob(f"**/{CGROUP_PREFIX}*"):
            if path.name not in self._others:
                yield str(path)


def supervisor(cache: Path, profile: str) -> psutil.Process:
    """The first process of a running cluster; all others descend from it."""
    plan = str(cache / "clusters" / profile / "plan.json")
    for process in psutil.process_iter():  # by rising process id: parents first
        with suppress(psutil.Error):
            command = process.cmdline()
            if "localcluster.supervisor" in command and plan in command:
                return process
    raise LookupError(f"no supervisor of {plan}")


def cluster_processes(cache: Path, profile: str) -> list[psutil.Process]:
    """All processes of a running cluster, those in its pods' containers among them."""
    first = supervisor(cache, profile)
    return [first, *first.children(recursive=True)]


def _ip(*arguments: str) -> list[dict[str, str]]:
    """What `ip` prints as JSON."""
    printed = subprocess.run(["ip", "-json", *arguments], capture_output=True, check=True).stdout
    found: list[dict[str, str]] = json.loads(printed or b"[]")
    return found


def _routes() -> list[dict[str, str]]:
    listing = ("route", "show", "table", "all")
    return [*_ip("-4", *listing), *_ip("-6", *listing)]


def _route(route: dict[str, str]) -> str:
    return f"{route['dst']} {route.get('dev')}"


def _mount_points() -> list[str]:
    lines = Path("/proc/self/mountinfo").read_text().splitlines()
    return [line.split()[MOUNT_POINT] for line in lines]


def _kernel_settings() -> Iterator[str]:
    for name in KERNEL_SETTINGS:
        with suppress(FileNotFoundError, PermissionError):
            yield f"{name}={Path('/proc/sys', name).read_text().strip()}"


def _nftables() -> list[str]:
    program = shutil.which("nft", path="/usr/sbin:/sbin:/usr/bin:/bin")
    if program is None:
        return []
    # Without root it answers nothing, and without root there is no cluster that could add a table.
    return subprocess.run(
        [program, "list", "tables"], capture_output=True, text=True, check=False
    ).stdout.splitlines()
