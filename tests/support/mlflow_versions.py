"""The MLflow of the tests' servers: that of the environment, or an older one in one of its own."""

import hashlib
import os
import subprocess
import sys
from pathlib import Path

from localcluster.gobuild import uv_program
from localcluster.locking import exclusive
from localcluster.paths import REPOSITORY, cache_directory

REQUIREMENTS = "TRAININGJOB_TEST_MLFLOW_SERVER"
"""The environment variable with the requirements file of the servers, from the repository's root.

`make integration MLFLOW=oldest` sets it.
"""
OF_GUNICORN = ("--gunicorn-opts=--access-logfile=- --threads=8",)
"""Under gunicorn, as the oldest runs: it logs its calls and takes several at once, too."""


def server_python() -> str:
    """The Python whose MLflow serves; its environment is made once and kept in the cache."""
    chosen = os.environ.get(REQUIREMENTS)
    if not chosen:
        return sys.executable
    requirements = REPOSITORY / chosen
    digest = hashlib.sha256(requirements.read_bytes() + sys.version.encode()).hexdigest()[:16]
    directory = cache_directory() / "mlflow" / digest
    python = directory / "bin" / "python"
    done = directory / "complete"
    with exclusive(directory.with_suffix(".lock"), "making the environment of MLflow servers"):
        if not done.exists():
            _uv("venv", "--clear", f"--python={sys.executable}", str(directory))
            _uv("pip", "sync", f"--python={python}", str(requirements))
            done.touch()
    return str(python)


def _uv(*arguments: str) -> None:
    environment = {key: value for key, value in os.environ.items() if key != "VIRTUAL_ENV"}
    command = [uv_program(), "--quiet", *arguments]
    subprocess.run(command, env=environment, cwd=Path("/"), check=True)
