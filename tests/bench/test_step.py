"""A step of the trainer beside one of a loop in plain PyTorch, in processes that take turns.

With all that the trainer has: monitor, exporter, delivery to MLflow and a checkpoint directory.
"""

import json
import os
import statistics
import subprocess
import sys
from pathlib import Path

import pytest

from tests.bench.report import REPOSITORY, beside, report
from tests.support.processes import MlflowServer

ROUNDS = 5
BARE = "a loop of plain PyTorch"
COMMANDS = {
    BARE: (sys.executable, "-m", "tests.bench.stepping.bare"),
    "the trainer: run, monitor, exporter, checkpoints": (
        *(sys.executable, "-m", "trainingjob_trainer", "run"),
        *("tests.bench.stepping.task:SteppingTask", "--epochs", "1", "--learning-rate", "0.001"),
    ),
}


def step_times(command: tuple[str, ...], mlflow: MlflowServer, directory: Path) -> list[float]:
    """Run it, and return the seconds of its steps."""
    run_id = mlflow.create_run()
    times = directory / f"{run_id}.json"
    pod = {
        "PYTHONPATH": str(REPOSITORY),
        "STEP_TIMES": str(times),
        "TRAININGJOB_NAME": "step",
        "TRAININGJOB_NAMESPACE": "bench",
        "TRAININGJOB_CHECKPOINT_DIR": str(directory / run_id),
        "TRAININGJOB_METRICS_PORT": "0",
        "TRAININGJOB_TERMINATION_LOG": str(directory / "termination-log"),
        "TRAININGJOB_MLFLOW_RUN_ID": run_id,
        "MLFLOW_TRACKING_URI": mlflow.uri,
    }
    done = subprocess.run(command, env={**os.environ, **pod}, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    found: list[float] = json.loads(times.read_text())
    return found


@pytest.mark.timeout(1200)
def test_a_step(mlflow: MlflowServer, tmp_path: Path) -> None:
    rounds: list[dict[str, list[float]]] = [
        {name: step_times(command, mlflow, tmp_path) for name, command in COMMANDS.items()}
        for _ in range(ROUNDS)
    ]

    steps = {name: [one for turn in rounds for one in turn[name]] for name in COMMANDS}
    ratios = {
        name: statistics.median(
            statistics.median(turn[name]) / statistics.median(turn[BARE]) for turn in rounds
        )
        for name in COMMANDS
    }
    report(
        "step",
        f"A step (median of {len(steps[BARE])}, in {ROUNDS} turns)",
        ("median step", "beside the loop", "ratio, turn by turn"),
        *((name, *beside(steps[name], steps[BARE]), f"{ratios[name]:.3f}") for name in COMMANDS),
    )
