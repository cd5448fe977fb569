"""What the tests of trainingjob-exec have in common: the scripts, and how they ended."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

from tests.support.pod_process import Trainer
from tests.support.processes import free_port

SCRIPTS = Path(__file__).parent / "scripts"
SECONDS = 300


def script(name: str) -> list[str]:
    return [sys.executable, str(SCRIPTS / name)]


def torchrun(*arguments: str) -> list[str]:
    options = ["--nproc-per-node=2", f"--master-port={free_port()}"]
    return [sys.executable, "-m", "torch.distributed.run", *options, *arguments]


def next_line(process: subprocess.Popen[bytes]) -> bytes:
    """The next line of its standard output; nothing when it has ended."""
    assert process.stdout is not None
    return process.stdout.readline()


def go_on(process: subprocess.Popen[bytes], line: str = "") -> None:
    """Give it the line that it waits for."""
    assert process.stdin is not None
    process.stdin.write(f"{line}\n".encode())
    process.stdin.flush()


def ended(process: subprocess.Popen[bytes]) -> tuple[int, str, str]:
    """Exit code, standard output and standard error."""
    output, errors = process.communicate(timeout=SECONDS)
    return process.returncode, output.decode(), errors.decode()


def termination(trainer: Trainer) -> dict[str, Any]:
    told: dict[str, Any] = json.loads(trainer.termination_log.read_text())
    return told
