import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

CHART = Path(__file__).parents[3] / "helm" / "trainingjob-operator"

Render = Callable[..., dict[tuple[str, str], dict[str, Any]]]


@pytest.fixture(scope="session")
def chart() -> Path:
    """Directory of the chart."""
    return CHART


@pytest.fixture(scope="session")
def helm() -> str:
    """Path of the helm binary, built at its first use."""
    command = [sys.executable, "-m", "localcluster", "tool", "helm"]
    return subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout.strip()


@pytest.fixture(scope="session")
def template(helm: str) -> Callable[..., subprocess.CompletedProcess[str]]:
    """`helm template` with `--set-json` arguments."""

    def run(*values: str) -> subprocess.CompletedProcess[str]:
        options = [f"--set-json={value}" for value in values]
        command = [helm, "template", "trainingjob-operator", str(CHART), "--namespace", "ns"]
        return subprocess.run([*command, *options], capture_output=True, text=True, check=False)

    return run


@pytest.fixture(scope="session")
def render(template: Callable[..., subprocess.CompletedProcess[str]]) -> Render:
    """The chart's objects by kind and name; the tracking server is set unless told otherwise."""

    def run(*values: str) -> dict[tuple[str, str], dict[str, Any]]:
        result = template('mlflow.trackingUri="https://mlflow.example.com"', *values)
        assert result.returncode == 0, result.stderr
        objects = [document for document in yaml.safe_load_all(result.stdout) if document]
        return {(one["kind"], one["metadata"]["name"]): one for one in objects}

    return run
