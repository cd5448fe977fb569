"""One directory with the programs that users and tests call: kubectl, helm, ctr and others."""

from __future__ import annotations

import os
import shutil
import sysconfig
from pathlib import Path

from localcluster.commands import output
from localcluster.errors import ClusterError
from localcluster.gobuild import binary_path
from localcluster.paths import cache_directory
from localcluster.programs import TOOLS

USER_PROGRAMS = ("helm", "ctr", "actionlint", "kind")


def programs_directory() -> Path:
    """The directory to put first on ``PATH``."""
    return cache_directory() / "bin"


def kubectl_path() -> Path:
    """The kubectl that PyPI installed beside this package, otherwise the one on ``PATH``.

    Raises:
        ClusterError: there is none.
    """
    installed = Path(sysconfig.get_path("scripts")) / "kubectl"
    if installed.exists():
        return installed
    found = shutil.which("kubectl")
    if not found:
        raise ClusterError("no kubectl: run `uv sync`")
    return Path(found)


def link_programs() -> None:
    """Point the links at kubectl and at those of our programs that are built."""
    directory = programs_directory()
    directory.mkdir(parents=True, exist_ok=True)
    _link(directory / "kubectl", kubectl_path())
    for name in USER_PROGRAMS:
        if name in TOOLS and binary_path(name).exists():
            _link(directory / name, binary_path(name))


def kubectl(kubeconfig: Path, *arguments: str, stdin: str | None = None) -> str:
    """Run kubectl as the cluster's administrator and return what it printed."""
    argv = [str(kubectl_path()), f"--kubeconfig={kubeconfig}", *arguments]
    return output(argv, stdin=stdin.encode() if stdin else None)


def _link(link: Path, target: Path) -> None:
    unfinished = link.with_name(f".{link.name}.{os.getpid()}")
    unfinished.symlink_to(target)
    unfinished.replace(link)
