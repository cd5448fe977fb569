"""Environments that are not ours: another Python, another MLflow, the agent's wheel, no torch."""

import os
import shutil
import subprocess
import sys
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from localcluster.gobuild import uv_program

from tests.support.fixtures import REPOSITORY

PYTHONS = ("3.10", "3.13")
"""The oldest that the agent supports, and a new one."""
MLFLOWS = (
    # It imports `pkg_resources` without asking for it; images of its time have that.
    ("2.10", "setuptools<80"),
    ("2",),
    ("3",),
)
"""Of MLflow's client: the release, and what else it needs."""


@dataclass(frozen=True)
class Environment:
    """A virtual environment, as another image has it."""

    directory: Path

    def program(self, name: str) -> str:
        """The path of a program in it."""
        return str(self.directory / "bin" / name)

    def output(self, code: str) -> str:
        """What Python code prints there."""
        command = [self.program("python"), "-c", code]
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()


def environments() -> Iterator[tuple[str, str, tuple[str, ...]]]:
    """Version and path of a Python, and what to install of MLflow.

    A Python that the machine lacks is left out, with a warning. That of the tests themselves stands
    in for all of them: it has the oldest client.
    """
    yield "{}.{}".format(*sys.version_info), sys.executable, MLFLOWS[0]
    for version in PYTHONS:
        python = find_python(version)
        if python is None:
            warnings.warn(f"no Python {version} on this machine: not tested", stacklevel=1)
            continue
        yield from ((version, python, mlflow) for mlflow in MLFLOWS)


def build_wheel(directory: Path) -> Path:
    """Build the wheel of the agent from this source."""
    package = REPOSITORY / "trainer_image" / "agent"
    _uv("build", "--wheel", "--out-dir", str(directory), str(package))
    (wheel,) = directory.glob("*.whl")
    return wheel


def make(directory: Path, python: str, *packages: str) -> Environment:
    """Make an environment; uv's cache has what was fetched before."""
    _uv("venv", "--python", python, str(directory))
    _uv("pip", "install", "--python", str(directory), *packages)
    return Environment(directory)


def find_python(version: str) -> str | None:
    """Find a Python where `PATH` has it, as on the machines of CI, or where pyenv keeps it."""
    pyenv = Path(os.environ.get("PYENV_ROOT") or Path.home() / ".pyenv") / "versions"
    kept = sorted(pyenv.glob(f"{version}.*/bin/python{version}"))
    for path in (shutil.which(f"python{version}"), *map(str, reversed(kept))):
        # A version manager's shim may be on PATH without a Python behind it.
        if path and subprocess.run([path, "-c", ""], capture_output=True).returncode == 0:
            return path
    return None


def _uv(*arguments: str) -> None:
    # The environment that runs the tests is not the one that is meant.
    environment = {key: value for key, value in os.environ.items() if key != "VIRTUAL_ENV"}
    done = subprocess.run(
        [uv_program(), "--no-progress", *arguments], env=environment, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
