"""Where everything of this package is kept: one cache directory for the whole machine."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, get_args

Profile = Literal["node", "kwok"]
PROFILES: tuple[Profile, ...] = get_args(Profile)

PACKAGE = Path(__file__).resolve().parent
TOOL_MODULES = PACKAGE.parent / "tools"
REPOSITORY = PACKAGE.parents[1]
STAGES = PACKAGE / "stages"


def cache_directory() -> Path:
    """The machine-wide cache: ``TRAININGJOB_CACHE_DIR``, by default in the user's cache."""
    chosen = os.environ.get("TRAININGJOB_CACHE_DIR")
    if chosen:
        return Path(chosen).expanduser().resolve()
    base = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    return Path(base).expanduser().resolve() / "trainingjob"


@dataclass(frozen=True)
class ClusterPaths:
    """The files of one embedded cluster."""

    profile: Profile
    root: Path

    @classmethod
    def of(cls, profile: Profile) -> ClusterPaths:
        """The files of ``profile`` in the cache of this machine."""
        return cls(profile, cache_directory() / "clusters" / profile)

    @property
    def lock(self) -> Path:
        """Held while ``up``, ``down`` or ``load`` change the cluster; beside its directory."""
        return self.root.with_suffix(".lock")

    @property
    def state(self) -> Path:
        """What ``up`` chose and started (:class:`localcluster.state.State`)."""
        return self.root / "state.json"

    @property
    def plan(self) -> Path:
        """What the supervisor has to start (:class:`localcluster.plan.Plan`)."""
        return self.root / "plan.json"

    @property
    def health(self) -> Path:
        """What the supervisor last knew of each component."""
        return self.root / "health.json"

    @property
    def stopped(self) -> Path:
        """The names of components that ``stop`` stopped, one a line; absent where all run."""
        return self.root / "stopped"

    @property
    def pki(self) -> Path:
        """Certificates and keys."""
        return self.root / "pki"

    @property
    def config(self) -> Path:
        """Configuration files and kubeconfigs of the components."""
        return self.root / "config"

    @property
    def logs(self) -> Path:
        """One log file a component."""
        return self.root / "logs"

    @property
    def data(self) -> Path:
        """Data of etcd and the kubelet; new at each ``up``."""
        return self.root / "data"

    @property
    def run(self) -> Path:
        """Sockets."""
        return self.root / "run"

    @property
    def kubeconfig(self) -> Path:
        """The kubeconfig of the cluster's administrator."""
        return self.root / "kubeconfig"

    @property
    def audit_log(self) -> Path:
        """The API server's audit log: one JSON event a line, of writes only."""
        return self.logs / "audit.log"

    @property
    def image_store(self) -> Path:
        """Containerd's root, kept from cluster to cluster so that images need no new import."""
        return self.root.parents[1] / "containerd"

    def log(self, component: str) -> Path:
        """The log file of ``component``."""
        return self.logs / f"{component}.log"

    def create(self) -> None:
        """Make the directories; keys are for the owner only."""
        for directory in (self.config, self.logs, self.data, self.run):
            directory.mkdir(parents=True, exist_ok=True)
        self.pki.mkdir(mode=0o700, exist_ok=True)
