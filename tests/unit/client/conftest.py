"""`tj` as a process against the fake API server of a module's fixture `server`."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from tests.support.fake_api_server import FakeApiServer


class Tj:
    """Runs `tj` against a server, with programs of its own on the PATH."""

    def __init__(self, server: FakeApiServer, directory: Path) -> None:
        self.directory = directory
        self.kubeconfig = directory / "kubeconfig"
        cluster = {"name": "c", "cluster": {"server": server.url}}
        context = {"name": "c", "context": {"cluster": "c", "user": "u", "namespace": "ml"}}
        config = {
            "clusters": [cluster],
            "contexts": [context],
            "users": [{"name": "u", "user": {}}],
        }
        self.kubeconfig.write_text(yaml.safe_dump({**config, "current-context": "c"}))

    def __call__(self, *arguments: str) -> "subprocess.CompletedProcess[str]":
        return subprocess.run(
            (sys.executable, "-m", "trainingjob", *arguments),
            env={**os.environ, "KUBECONFIG": str(self.kubeconfig), "PATH": str(self.directory)},
            capture_output=True,
            text=True,
            check=False,
        )

    def install_kubectl(self, code: int) -> Path:
        """A kubectl that writes down its arguments and ends with a code; returns where to."""
        program = self.directory / "kubectl"
        program.write_text(f'#!/bin/sh\necho "$@" >> {program}.calls\nexit {code}\n')
        program.chmod(0o755)
        return Path(f"{program}.calls")


@pytest.fixture
def tj(server: FakeApiServer, tmp_path: Path) -> Tj:
    return Tj(server, tmp_path)
