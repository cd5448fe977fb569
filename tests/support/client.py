"""The client as people install it: its wheel in a virtual environment of its own."""

import os
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from localcluster.gobuild import uv_program

from tests.support.processes import take_interrupts

REPOSITORY = Path(__file__).parents[2]
IMAGE = "docker.io/trainingjob/trainer:dev"
# A shell's own, and where the registry and its certificates are. Nothing that MLflow reads.
_KEPT = ("PATH", "HOME", "LANG", "SSL_CERT_FILE", "REQUESTS_CA_BUNDLE")


def install(directory: Path, *others: str) -> Path:
    """Build the wheel and install it with MLflow's client; returns the folder of the programs."""
    wheels, environment = directory / "wheels", directory / "environment"
    _uv("build", "--wheel", "--out-dir", str(wheels), str(REPOSITORY / "client"))
    (wheel,) = wheels.glob("*.whl")
    _uv("venv", "--python", sys.executable, str(environment))
    _uv("pip", "install", "--python", str(environment), f"{wheel}[mlflow]", *others)
    return environment / "bin"


@dataclass(frozen=True)
class Tj:
    """Runs `tj` in a working directory, in the namespace of a test."""

    programs: Path
    kubeconfig: Path
    namespace: str
    directory: Path
    tracking_uri: str
    variables: Mapping[str, str] = field(default_factory=dict)

    @property
    def environment(self) -> dict[str, str]:
        """That of each call."""
        return {
            **{name: os.environ[name] for name in _KEPT if name in os.environ},
            "KUBECONFIG": str(self.kubeconfig),
            "MLFLOW_TRACKING_URI": self.tracking_uri,
            "TRAININGJOB_IMAGE": IMAGE,
            "COLUMNS": "200",
            **self.variables,
        }

    def command(self, name: str, *arguments: str) -> list[str]:
        """The command line of a call."""
        place = ("--namespace", self.namespace)
        return [str(self.programs / "tj"), name, *place, *arguments]

    def __call__(self, *arguments: str, **variables: str) -> "subprocess.CompletedProcess[str]":
        """What it printed, and its exit code."""
        return subprocess.run(
            self.command(*arguments),
            env={**self.environment, **variables},
            cwd=self.directory,
            capture_output=True,
            text=True,
            timeout=600,
            check=False,
        )

    def start(self, *arguments: str) -> "subprocess.Popen[str]":
        """A call that goes on beside the test."""
        return subprocess.Popen(
            self.command(*arguments),
            env=self.environment,
            cwd=self.directory,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            preexec_fn=take_interrupts,
        )

    def python(self, code: str) -> "subprocess.CompletedProcess[str]":
        """What Python code does with the package."""
        return subprocess.run(
            [str(self.programs / "python"), "-c", code],
            env=self.environment,
            cwd=self.directory,
            capture_output=True,
            text=True,
            timeout=600,
            check=False,
        )


def _uv(*arguments: str) -> None:
    # The environment that runs the tests is not the one that is meant.
    environment = {key: value for key, value in os.environ.items() if key != "VIRTUAL_ENV"}
    done = subprocess.run(
        [uv_program(), "--no-progress", *arguments], env=environment, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
