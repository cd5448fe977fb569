"""What logging costs a step of a script: none, MLflow's calls, its queue, wandb's, ours.

Each in a process of its own, all in turns. The script logs five metrics a step, and all but plain
MLflow have a system monitor beside it with the same interval. Figures are printed, not judged.
"""

import json
import os
import statistics
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.bench.fluent.script import INTERVAL_SECONDS
from tests.bench.report import REPOSITORY, beside, report
from tests.support.processes import MlflowServer

ROUNDS = 2
PATH = [str(REPOSITORY), *filter(None, [os.environ.get("PYTHONPATH")])]
SCRIPT = str(Path(__file__).parent / "fluent" / "script.py")
EXEC = ("-m", "trainingjob_agent.supervisor", "--", sys.executable)
NONE = "no logging"
WAYS: dict[str, tuple[tuple[str, ...], dict[str, str]]] = {
    NONE: ((SCRIPT, "none"), {}),
    "mlflow.log_metrics": ((SCRIPT, "mlflow"), {}),
    "…, MLflow's async logging": (
        (SCRIPT, "mlflow"),
        {"MLFLOW_ENABLE_ASYNC_LOGGING": "true"},
    ),
    "…, async and MLflow's system metrics": (
        (SCRIPT, "mlflow"),
        {
            "MLFLOW_ENABLE_ASYNC_LOGGING": "true",
            "MLFLOW_ENABLE_SYSTEM_METRICS_LOGGING": "true",
            "MLFLOW_SYSTEM_METRICS_SAMPLING_INTERVAL": f"{INTERVAL_SECONDS:g}",
        },
    ),
    "wandb.log, offline, its system metrics": ((SCRIPT, "wandb"), {}),
    "mlflow.log_metrics under trainingjob-exec": (
        (*EXEC, SCRIPT, "mlflow"),
        {"TRAININGJOB_MONITOR_INTERVAL": f"{INTERVAL_SECONDS:g}"},
    ),
}


def measured(
    arguments: tuple[str, ...], environment: dict[str, str], directory: Path
) -> dict[str, Any]:
    """Times of the steps, and of the CPU in the calls that log, in seconds; the rest in cores."""
    done = subprocess.run(
        [sys.executable, *arguments, str(directory)],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(PATH), **environment},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    result: dict[str, Any] = json.loads(
        next(line for line in done.stdout.splitlines() if line.startswith("{"))
    )
    return result


@pytest.mark.timeout(1800)
def test_a_step_that_logs(mlflow: MlflowServer, tmp_path: Path) -> None:
    steps: dict[str, list[float]] = {way: [] for way in WAYS}
    calls: dict[str, list[float]] = {way: [] for way in WAYS}
    shares: dict[str, list[float]] = {way: [] for way in WAYS}
    for turn in range(ROUNDS):
        for way, (arguments, environment) in WAYS.items():
            run_id = mlflow.create_run("u-1", name="fluent")
            result = measured(
                arguments,
                {
                    "TRAININGJOB_NAME": "fluent",
                    "TRAININGJOB_UID": "u-1",
                    "TRAININGJOB_MLFLOW_RUN_ID": run_id,
                    "TRAININGJOB_METRICS_PORT": "0",
                    "TRAININGJOB_TERMINATION_LOG": str(tmp_path / "termination-log"),
                    "TRAININGJOB_CHECKPOINT_DIR": str(tmp_path / f"{turn}"),
                    "MLFLOW_RUN_ID": run_id,
                    "MLFLOW_TRACKING_URI": mlflow.uri,
                    "MLFLOW_EXPERIMENT_ID": "0",
                    **environment,
                },
                tmp_path,
            )
            steps[way] += result["steps"]
            calls[way] += result["calls"]
            shares[way].append(result["share_beside"])

    rows = [
        (
            way,
            *beside(steps[way], steps[NONE]),
            f"{1e3 * statistics.median(calls[way]):.3f} ms",
            f"{100 * statistics.median(shares[way]):.2f} %",
        )
        for way in WAYS
    ]
    columns = ("median step", "beside none", "CPU time of the call", "the rest, of a core")
    report("fluent", "A script that logs five metrics a step", columns, *rows)
    assert all(steps.values())
