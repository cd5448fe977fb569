"""A script that logs when a test asks it to, and what MLflow then has."""

import subprocess

from tests.integration.agent.delivering import history
from tests.integration.agent.executing import go_on, next_line, script
from tests.support.pod_process import Trainer
from tests.support.processes import MlflowServer

QUIET = {"MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true", "TRAININGJOB_MONITOR_ENABLED": "false"}


def started(trainer: Trainer, **environment: str) -> subprocess.Popen[bytes]:
    process = trainer.execute(*script("asked_script.py"), **QUIET, **environment)
    assert next_line(process) == b"started\n"
    return process


def log(process: subprocess.Popen[bytes], first: int, last: int) -> None:
    go_on(process, f"{first} {last}")
    assert next_line(process) == b"logged\n"


def points(server: MlflowServer, run_id: str) -> list[tuple[int, float]]:
    return [(point.step, point.value) for point in history(server, run_id)]


def steps(first: int, last: int) -> list[tuple[int, float]]:
    return [(step, 1 / step) for step in range(first, last + 1)]
