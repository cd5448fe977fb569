"""Run other programs."""

from __future__ import annotations

import os
import subprocess
from typing import TYPE_CHECKING

from localcluster.errors import ClusterError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

SYSTEM_DIRECTORIES = ("/usr/local/sbin", "/usr/sbin", "/sbin")
TAIL_LINES = 30


def system_path() -> str:
    """``PATH`` with the administrator's directories, which a plain user's shell leaves out."""
    return os.pathsep.join([os.environ.get("PATH", os.defpath), *SYSTEM_DIRECTORIES])


def environment(extra: Mapping[str, str] | None = None) -> dict[str, str]:
    """The environment for a child: ours, the system's ``PATH`` and ``extra``."""
    return {**os.environ, "PATH": system_path(), **(extra or {})}


def output(
    argv: Sequence[str],
    *,
    env: Mapping[str, str] | None = None,
    cwd: Path | None = None,
    stdin: bytes | None = None,
) -> str:
    """Run ``argv`` and return what it printed.

    Raises:
        ClusterError: it failed; the message has its last lines.
    """
    result = subprocess.run(
        argv, env=environment(env), cwd=cwd, input=stdin, capture_output=True, check=False
    )
    if result.returncode != 0:
        output = result.stderr.decode(errors="replace") + result.stdout.decode(errors="replace")
        raise ClusterError(failure(argv, result.returncode, output))
    return result.stdout.decode()


def succeeds(argv: Sequence[str]) -> bool:
    """Whether ``argv`` exists and ends with 0."""
    try:
        result = subprocess.run(argv, env=environment(), capture_output=True, check=False)
    except FileNotFoundError:
        return False
    return result.returncode == 0


def logged(
    argv: Sequence[str],
    log: Path,
    *,
    env: Mapping[str, str] | None = None,
    cwd: Path | None = None,
) -> None:
    """Run ``argv`` with all that it prints appended to ``log``.

    Raises:
        ClusterError: it failed; the message has the last lines that it printed.
    """
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("ab") as sink:
        start = sink.tell()
        result = subprocess.run(
            argv,
            env=environment(env),
            cwd=cwd,
            stdin=subprocess.DEVNULL,
            stdout=sink,
            stderr=subprocess.STDOUT,
            check=False,
        )
    if result.returncode != 0:
        output = log.read_bytes()[start:].decode(errors="replace")
        raise ClusterError(f"{failure(argv, result.returncode, output)}\n(full log: {log})")


def failure(argv: Sequence[str], code: int, output: str) -> str:
    """A message about a failed command with the last lines that it printed."""
    lines = output.strip().splitlines()[-TAIL_LINES:]
    return "\n".join([f"`{' '.join(argv)}` ended with {code}:", *(f"  {line}" for line in lines)])
