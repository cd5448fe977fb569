"""From the start of the container's process to the first line of a script, and to its first step.

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


FIRST_LINE = ("-c", "print('stepped', flush=True)\nimport time\ntime.sleep(60)")
BARE_LINE = (sys.executable, *FIRST_LINE)
EXEC_LINE = (sys.executable, "-m", "trainingjob_agent.supervisor", "--", *BARE_LINE)


def seconds_to_the_first_step(command: tuple[str, ...], pod: dict[str, str]) -> float:
    """Start it, wait for its first step, end it."""
    started = time.monotonic()
    process = subprocess.Popen(
        command,
        env={**os.environ, **pod},
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
def test_from_the_start_to_the_first_line_of_a_script(mlflow: MlflowServer, tmp_path: Path) -> None:
    """What the agent itself takes: a script that imports nothing has nothing else to wait for."""
    commands = {"a bare Python script": BARE_LINE, "the same under trainingjob-exec": EXEC_LINE}
    times: dict[str, list[float]] = {name: [] for name in commands}
    run_id = mlflow.create_run()
    for turn in range(2 * ROUNDS + 1):
        for name, command in commands.items():
            seconds = seconds_to_the_first_step(command, environment(mlflow, run_id, tmp_path))
            if turn > 0:  # the first turn fills the page cache
                times[name].append(seconds)

    medians = {name: statistics.median(values) for name, values in times.items()}
    report(
        "agent-start",
        f"From the process's start to the script's first line (median of {2 * ROUNDS})",
        ("seconds", "longest"),
        *((name, f"{medians[name]:.2f}", f"{max(times[name]):.2f}") for name in commands),
    )


def environment(mlflow: MlflowServer, run_id: str, checkpoints: Path) -> dict[str, str]:
    """That of a pod."""
    return {
        "PYTHONPATH": str(REPOSITORY),
        "TRAININGJOB_NAME": "start",
        "TRAININGJOB_NAMESPACE": "bench",
        "TRAININGJOB_UID": checkpoints.name,
        "TRAININGJOB_ATTEMPT": "1",
        "TRAININGJOB_CHECKPOINT_DIR": str(checkpoints),
        "TRAININGJOB_METRICS_PORT": "0",
        "TRAININGJOB_MLFLOW_RUN_ID": run_id,
        "MLFLOW_RUN_ID": run_id,
        "MLFLOW_TRACKING_URI": mlflow.uri,
        "MLFLOW_EXPERIMENT_ID": "0",
    }


@pytest.mark.timeout(1200)
def test_from_the_start_to_the_first_step(mlflow: MlflowServer, tmp_path: Path) -> None:
    client = MlflowClient(mlflow.uri)
    times: dict[str, list[float]] = {name: [] for name in COMMANDS}
    for turn in range(ROUNDS + 1):
        for name, command in COMMANDS.items():
            run_id = client.create_run("0").info.run_id
            pod = environment(mlflow, run_id, tmp_path / f"{turn}")
            seconds = seconds_to_the_first_step(command, pod)
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
