"""The programs that are built from our Go modules, and which of them a cluster runs."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass

from localcluster.errors import ClusterError
from localcluster.paths import TOOL_MODULES

KUBERNETES_CHOICE = "TRAININGJOB_KUBERNETES"
"""The environment variable with the version of Kubernetes that the kwok profile runs."""


@dataclass(frozen=True)
class Tool:
    """One program: the module of ours that pins it and how it is built."""

    name: str
    module: str
    package: str
    tags: str = ""
    linker_flags: str = "-s -w"


def _pinned_kubernetes(module: str) -> str:
    """The version that a module of ours pins, such as ``1.37.2``."""
    pins = (TOOL_MODULES / module / "go.mod").read_text()
    (version,) = re.findall(r"^\tk8s\.io/kubernetes v([\d.]+)", pins, re.MULTILINE)
    return str(version)


def _minor(version: str) -> str:
    return version.rpartition(".")[0]


NEWEST_MODULE = "kubernetes"
NEWEST_KUBERNETES = _minor(_pinned_kubernetes(NEWEST_MODULE))
OLDER_MODULES = {"1.34": "kubernetes-1.34"}
"""Versions for the kwok profile only, which needs no kubelet of them."""
KUBERNETES_VERSIONS = (NEWEST_KUBERNETES, *OLDER_MODULES)


def _kubernetes(program: str, name: str, module: str) -> Tool:
    version = _pinned_kubernetes(module)
    major, minor, _ = version.split(".")
    stamps = {"gitVersion": f"v{version}", "gitMajor": major, "gitMinor": minor}
    flags = " ".join(
        f"-X k8s.io/component-base/version.{field}={value}" for field, value in stamps.items()
    )
    return Tool(name, module, f"k8s.io/kubernetes/cmd/{program}", linker_flags=f"-s -w {flags}")


def _containerd(name: str) -> Tool:
    package = f"github.com/containerd/containerd/v2/cmd/{name}"
    return Tool(name, "containerd", package, tags="no_btrfs,no_devmapper")


KUBERNETES_CONTROL_PLANE = ("kube-apiserver", "kube-controller-manager", "kube-scheduler")
TOOLS: dict[str, Tool] = {
    tool.name: tool
    for tool in (
        Tool("etcd", "etcd", "go.etcd.io/etcd/server/v3"),
        *(
            _kubernetes(program, program, NEWEST_MODULE)
            for program in (*KUBERNETES_CONTROL_PLANE, "kubelet", "kube-proxy")
        ),
        *(
            _kubernetes(program, f"{program}-{version}", module)
            for version, module in OLDER_MODULES.items()
            for program in KUBERNETES_CONTROL_PLANE
        ),
        Tool("kwok", "kwok", "sigs.k8s.io/kwok/cmd/kwok"),
        _containerd("containerd"),
        _containerd("containerd-shim-runc-v2"),
        _containerd("ctr"),
        Tool("pause", "pause", "."),
        Tool("coredns", "coredns", "."),
        Tool("provisioner", "provisioner", "."),
        Tool("helm", "helm", "helm.sh/helm/v4/cmd/helm"),
        Tool("actionlint", "actionlint", "github.com/rhysd/actionlint/cmd/actionlint"),
        Tool("kind", "kind", "sigs.k8s.io/kind"),
        Tool("crd-check", "crd-check", "."),
    )
}
CONTAINERD_TOOLS = ("containerd", "containerd-shim-runc-v2", "ctr")
NODE_TOOLS = (
    "etcd",
    *KUBERNETES_CONTROL_PLANE,
    "kubelet",
    "kube-proxy",
    *CONTAINERD_TOOLS,
    "pause",
    "coredns",
    "provisioner",
    "helm",
)


def chosen_kubernetes() -> str:
    """The version that ``TRAININGJOB_KUBERNETES`` names, by default the newest, as ``1.37``.

    Raises:
        ClusterError: it names one that no module of ours pins.
    """
    chosen = os.environ.get(KUBERNETES_CHOICE) or NEWEST_KUBERNETES
    if chosen not in KUBERNETES_VERSIONS:
        raise ClusterError(
            f"{KUBERNETES_CHOICE}={chosen}: must be one of {', '.join(KUBERNETES_VERSIONS)}"
        )
    return chosen


def kwok_tools(kubernetes: str = NEWEST_KUBERNETES) -> dict[str, str]:
    """The programs of the kwok profile, each with its name in :data:`TOOLS`."""
    suffix = "" if kubernetes == NEWEST_KUBERNETES else f"-{kubernetes}"
    control_plane = {program: f"{program}{suffix}" for program in KUBERNETES_CONTROL_PLANE}
    return {"etcd": "etcd", **control_plane, "kwok": "kwok"}
