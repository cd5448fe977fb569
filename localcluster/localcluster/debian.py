"""What the embedded cluster takes from Debian, installed when it is missing."""

from __future__ import annotations

import os
import shutil
import sys
import time
from pathlib import Path
from tempfile import TemporaryDirectory

from localcluster.commands import logged, system_path
from localcluster.errors import ClusterError, UnsupportedMachineError
from localcluster.locking import exclusive
from localcluster.paths import cache_directory
from localcluster.progress import say, step

NODE_PROGRAMS = {
    "runc": "runc",
    "nft": "nftables",
    "iptables": "iptables",
    "conntrack": "conntrack",
    "ip": "iproute2",
    "unshare": "util-linux",
    "mount": "mount",
    "/usr/lib/cni/ptp": "containernetworking-plugins",
}
IMAGE_PROGRAMS = {"buildah": "buildah", "debootstrap": "debootstrap", "skopeo": "skopeo"}

LOCK_SECONDS = 300
WAIT_FOR_LOCK = f"--option=DPkg::Lock::Timeout={LOCK_SECONDS}"
LOCK_HELD = "Could not get lock"


def missing_packages(programs: dict[str, str], path: str) -> list[str]:
    """The Debian packages of those ``programs`` that are on neither ``path`` nor the disk."""
    return sorted(
        {
            package
            for program, package in programs.items()
            if not (Path(program).exists() if "/" in program else shutil.which(program, path=path))
        }
    )


def ensure(programs: dict[str, str]) -> None:
    """Install with apt-get what is missing of ``programs``.

    Raises:
        UnsupportedMachineError: there is no apt-get.
        ClusterError: apt-get failed.
    """
    packages = missing_packages(programs, system_path())
    if not packages:
        return
    if not shutil.which("apt-get", path=system_path()):
        raise UnsupportedMachineError(
            f"missing programs, and no apt-get to install them: {', '.join(packages)}"
        )
    say(f"installing from Debian: {' '.join(packages)}")
    with step("apt-get update"):
        _update()
    with step(f"apt-get install {' '.join(packages)}"):
        install = ["apt-get", "install", "--yes", "--no-install-recommends", WAIT_FOR_LOCK]
        logged([*install, *packages], _log(), env={"DEBIAN_FRONTEND": "noninteractive"})


def _update() -> None:
    """Fetch the package lists; another apt-get may do so now, as that of a build beside ours.

    Where `apt-get install` can wait for its lock, `apt-get update` ends at once.
    """
    give_up = time.monotonic() + LOCK_SECONDS
    while True:
        try:
            logged(["apt-get", "update"], _log())
        except ClusterError as error:
            if LOCK_HELD not in str(error) or time.monotonic() > give_up:
                raise
            time.sleep(1)
        else:
            return


def _log() -> Path:
    return cache_directory() / "logs" / "apt.log"


def unpacked(package: str) -> Path:
    """The files of a Debian package in the cache, not installed: none of its services starts.

    Raises:
        UnsupportedMachineError: there is no apt-get.
        ClusterError: it could not be fetched or unpacked.
    """
    target = cache_directory() / "debian" / package
    with exclusive(cache_directory() / "debian.lock", f"fetching {package}"):
        if not target.exists():
            if not shutil.which("apt-get", path=system_path()):
                raise UnsupportedMachineError(f"no apt-get to fetch {package} with")
            with step(f"fetching {package} from Debian"):
                _fetch_and_unpack(package, target)
    return target


def _fetch_and_unpack(package: str, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory(dir=target.parent) as directory:
        download = ["apt-get", "download", package]
        try:
            logged(download, _log(), cwd=Path(directory))
        except ClusterError:
            # The lists are missing on a new machine, or older than what the mirror has.
            _update()
            logged(download, _log(), cwd=Path(directory))
        [archive] = Path(directory).glob("*.deb")
        files = Path(directory) / "files"
        logged(["dpkg-deb", "--extract", str(archive), str(files)], _log())
        files.rename(target)


def require_linux() -> None:
    """Raise unless this is Linux, which all embedded clusters need."""
    if sys.platform != "linux":
        raise UnsupportedMachineError("the embedded cluster needs Linux")


def require_root() -> None:
    """Raise unless this process may make namespaces, mounts and network links."""
    require_linux()
    if os.geteuid() != 0:
        raise UnsupportedMachineError(
            "a cluster with a real node needs either a Docker engine that answers `docker info`"
            " or root on Linux for the embedded cluster; this machine offers neither"
        )
