import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.support.installation import helm_program

CHART = Path(__file__).parents[3] / "helm" / "trainingjob-operator"

Render = Callable[..., dict[tuple[str, str], dict[str, Any]]]


@pytest.fixture(scope="session")
def chart() -> Path:
    """Directory of the chart."""
    return CHART


@pytest.fixture(scope="session")
def helm() -> str:
    """Path of the helm binary, built at its first use."""
    return helm_program()


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
    """The chart's objects by kind and name; a tracking server is set unless the values name one."""

    def run(*values: str) -> dict[tuple[str, str], dict[str, Any]]:
        result = template('mlflow.trackingUri="https://mlflow.example.com"', *values)
        assert result.returncode == 0, result.stderr
        # The definitions are 15,000 lines, which the loader in Python reads for seconds.
        documents = yaml.load_all(result.stdout, Loader=yaml.CSafeLoader)
        objects = [document for document in documents if document]
        return {(one["kind"], one["metadata"]["name"]): one for one in objects}

    return run
