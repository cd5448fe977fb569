"""From the start of the container's process to the first step done, beside a bare torch script.

All in turns; the files are in the page cache for each of them.
"""

import os
import statistics
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest
from mlflow import MlflowClient

from tests.bench.report import REPOSITORY, report
from tests.support.processes import MlflowServer

ROUNDS = 5
FILES = Path(__file__).parent / "starting"
TASK = "tests.bench.starting.task:StartingTask"
BARE = (sys.executable, str(FILES / "bare.py"))
TRAINER = (sys.executable, "-m", "trainingjob_trainer", "run", TASK)
EXEC = (sys.executable, "-m", "trainingjob_agent.supervisor", "--", *BARE)
COMMANDS = {
    "a bare torch script": BARE,
    "the same with mlflow.start_run()": (*BARE, "--mlflow"),
    "the bare script under trainingjob-exec: monitor, exporter": EXEC,
    "the trainer: run, monitor, exporter, checkpoints": TRAINER,
}


def seconds_to_the_first_step(command: tuple[str, ...], environment: dict[str, str]) -> float:
    """Start it, wait for its first step, end it."""
    started = time.monotonic()
    process = subprocess.Popen(
        command,
        env={**os.environ, **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    assert process.stdout is not None
    printed = []
    try:
        for line in process.stdout:
            printed.append(line)
            if line == "stepped\n":
                return time.monotonic() - started
    finally:
        end(process)
    raise AssertionError("".join(printed))


def end(process: "subprocess.Popen[str]") -> None:
    """Kill it with all that it started, in whatever group that is."""
    found = psutil.Process(process.pid)
    for one in (*found.children(recursive=True), found):
        one.kill()
    process.communicate()


@pytest.mark.timeout(1200)
def test_from_the_start_to_the_first_step(mlflow: MlflowServer, tmp_path: Path) -> None:
    client = MlflowClient(mlflow.uri)
    times: dict[str, list[float]] = {name: [] for name in COMMANDS}
    for turn in range(ROUNDS + 1):
        for name, command in COMMANDS.items():
            run_id = client.create_run("0").info.run_id
            environment = {
                "PYTHONPATH": str(REPOSITORY),
                "TRAININGJOB_NAME": "start",
                "TRAININGJOB_NAMESPACE": "bench",
                "TRAININGJOB_UID": f"{turn}",
                "TRAININGJOB_ATTEMPT": "1",
                "TRAININGJOB_CHECKPOINT_DIR": str(tmp_path / f"{turn}"),
                "TRAININGJOB_METRICS_PORT": "0",
                "TRAININGJOB_MLFLOW_RUN_ID": run_id,
                "MLFLOW_RUN_ID": run_id,
                "MLFLOW_TRACKING_URI": mlflow.uri,
                "MLFLOW_EXPERIMENT_ID": "0",
            }
            seconds = seconds_to_the_first_step(command, environment)
            if turn > 0:  # the first turn fills the page cache
                times[name].append(seconds)

    medians = {name: statistics.median(values) for name, values in times.items()}
    base = medians["a bare torch script"]
    report(
        "start",
        f"From the process's start to its first step (median of {ROUNDS})",
        ("seconds", "ratio"),
        *((name, f"{median:.2f}", f"{median / base:.2f}") for name, median in medians.items()),
    )
