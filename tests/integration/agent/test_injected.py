"""The agent brought into images that lack it: it has a Python of its own, the script another."""

import json
import os
import shutil
import subprocess
import sys
import warnings
from pathlib import Path

import pytest

from tests.integration.agent.environments import Environment, find_python, make
from tests.support.fixtures import REPOSITORY
from tests.support.processes import MlflowServer, free_port

AGENT = REPOSITORY / "trainer_image" / "agent"
SCRIPT = Path(__file__).parent / "scripts" / "without_torch_script.py"
PYTHONS = ("3.8", "3.9", "3.13")
"""From the oldest that the hook is for to a new one."""
RAISES = "def train():\n    raise ValueError('no data')\ntrain()\n"


def pythons(*versions: str) -> list[object]:
    """Those of the versions that the machine has."""
    found = {version: find_python(version) for version in versions}
    for version, python in found.items():
        if python is None:
            warnings.warn(f"no Python {version} on this machine: not tested", stacklevel=1)
    return [pytest.param(path, id=f"python{version}") for version, path in found.items() if path]


@pytest.fixture(scope="module")
def start(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The agent's start as in its volume, but for the Python and the packages beside it."""
    volume = tmp_path_factory.mktemp("volume")
    shutil.copy(AGENT / "image" / "start.py", volume)
    (volume / "work").mkdir()
    (volume / "source").mkdir()
    (volume / "source" / "trainingjob_agent").symlink_to(AGENT / "trainingjob_agent")
    return volume / "start.py"


@pytest.mark.parametrize("python", pythons(*PYTHONS))
def test_a_script_without_mlflow(python: str, start: Path, tmp_path: Path) -> None:
    script = tmp_path / "train.py"
    script.write_text(RAISES)
    done = run(start, [python, str(script)], tmp_path)

    assert done.returncode == 1
    assert reported(tmp_path) == ("UserException", "no data", f"{script}:2 in train")
    assert "unnoticed" not in done.stderr
    assert "no stacks" not in done.stderr
    assert "not known" not in done.stderr


@pytest.mark.parametrize("python", pythons("3.6", "3.7"))
def test_a_script_of_an_older_python(python: str, start: Path, tmp_path: Path) -> None:
    """Its traceback is read from what it prints, and its own `sitecustomize` runs."""
    script = tmp_path / "train.py"
    script.write_text(RAISES)
    (tmp_path / "sitecustomize.py").write_text("print('site of the script')")
    done = run(start, [python, str(script)], tmp_path, PYTHONPATH=str(tmp_path))

    assert (done.returncode, done.stdout) == (1, "site of the script\n")
    assert reported(tmp_path) == ("UserException", "no data", f"{script}:2 in train")
    assert "this process goes unnoticed: Python 3.8 is the oldest" in done.stderr


@pytest.mark.timeout(600)
@pytest.mark.parametrize("python", pythons(*PYTHONS))
def test_a_script_with_mlflow_adopts_the_run(
    python: str, start: Path, mlflow: MlflowServer, tmp_path: Path
) -> None:
    environment: Environment = make(tmp_path / "environment", python, "mlflow-skinny>=2.10")
    run_id = mlflow.create_run("u-1", name="digits")
    done = run(
        start,
        [environment.program("python"), str(SCRIPT)],
        tmp_path,
        TRAININGJOB_UID="u-1",
        TRAININGJOB_MLFLOW_RUN_ID=run_id,
        MLFLOW_RUN_ID=run_id,
        MLFLOW_TRACKING_URI=mlflow.uri,
        MLFLOW_EXPERIMENT_ID="0",
    )

    assert done.returncode == 1, done.stderr
    cause = ("UserException", "the loss is NaN in step 4", f"{SCRIPT}:12 in train")
    assert reported(tmp_path) == cause
    found = mlflow.client.get_run(run_id)
    assert found.info.status == "RUNNING"
    assert found.data.params["learning_rate"] == "0.05"
    losses = mlflow.client.get_metric_history(run_id, "train/loss")
    assert [one.value for one in losses] == [1.0, 1 / 2, 1 / 3]
    assert found.data.metrics["system/system_memory_usage_megabytes"] > 0
    [kept] = mlflow.client.list_artifacts(run_id, "logs/attempt-1")
    assert kept.path == "logs/attempt-1/node-0.txt"


def test_what_the_image_preloads_is_back_for_the_script(start: Path, tmp_path: Path) -> None:
    command = ["sh", "-c", 'echo "$LD_PRELOAD,$TRAININGJOB_IMAGE_PRELOAD"']
    done = run(start, command, tmp_path, TRAININGJOB_IMAGE_PRELOAD="/lib/none.so")

    assert done.stdout == "/lib/none.so,\n"


def run(
    start: Path, command: list[str], directory: Path, **variables: str
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-I", str(start), "--", *command],
        env={
            "PATH": os.environ["PATH"],
            "TRAININGJOB_ATTEMPT": "1",
            "TRAININGJOB_METRICS_PORT": str(free_port()),
            "TRAININGJOB_MONITOR_INTERVAL": "1",
            "TRAININGJOB_TERMINATION_LOG": str(directory / "termination-log"),
            **variables,
        },
        capture_output=True,
        text=True,
        timeout=300,
    )


def reported(directory: Path) -> tuple[str, str, str]:
    cause = json.loads((directory / "termination-log").read_text())
    return cause["reason"], cause["message"], cause["frame"]
