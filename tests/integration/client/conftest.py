"""`tj` as a process, on the control plane with fake nodes."""

import os
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.support.api import Cluster
from tests.support.fixtures import Kwok


@dataclass(frozen=True)
class Tj:
    """Runs `tj` in a directory, in the namespace of the test."""

    kubeconfig: Path
    namespace: str
    directory: Path

    def __call__(
        self, *arguments: str, environment: Mapping[str, str] | None = None
    ) -> "subprocess.CompletedProcess[str]":
        """What it printed, and its exit code."""
        return subprocess.run(
            self.command(*arguments),
            env={**self.environment, **(environment or {})},
            cwd=self.directory,
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
        )

    @property
    def environment(self) -> dict[str, str]:
        return {**os.environ, "KUBECONFIG": str(self.kubeconfig), "COLUMNS": "200"}

    def command(self, name: str, *arguments: str) -> list[str]:
        place = ("--namespace", self.namespace)
        return [sys.executable, "-m", "trainingjob", name, *place, *arguments]


@pytest.fixture
def tj(kwok: Kwok, cluster: Cluster, tmp_path: Path) -> Tj:
    """With a working directory of one script."""
    directory = tmp_path / "code"
    directory.mkdir()
    (directory / "train.py").write_text("print('trained')\n")
    return Tj(kwok.kubeconfig, cluster.namespace, directory)
