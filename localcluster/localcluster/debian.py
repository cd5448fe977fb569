"""What the embedded cluster takes from Debian, installed when it is missing."""

from __future__ import annotations

import os
import shutil
import sys
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

WAIT_FOR_LOCK = "--option=DPkg::Lock::Timeout=300"


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
    log = cache_directory() / "logs" / "apt.log"
    quiet = {"DEBIAN_FRONTEND": "noninteractive"}
    with step("apt-get update"):
        logged(["apt-get", "update"], log, env=quiet)
    with step(f"apt-get install {' '.join(packages)}"):
        install = ["apt-get", "install", "--yes", "--no-install-recommends", WAIT_FOR_LOCK]
        logged([*install, *packages], log, env=quiet)


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
    log = cache_directory() / "logs" / "apt.log"
    target.parent.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory(dir=target.parent) as directory:
        download = ["apt-get", "download", package]
        try:
            logged(download, log, cwd=Path(directory))
        except ClusterError:
            # The lists are missing on a new machine, or older than what the mirror has.
            logged(["apt-get", "update"], log)
            logged(download, log, cwd=Path(directory))
        [archive] = Path(directory).glob("*.deb")
        files = Path(directory) / "files"
        logged(["dpkg-deb", "--extract", str(archive), str(files)], log)
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
