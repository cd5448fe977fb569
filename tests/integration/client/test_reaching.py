"""What a pod is asked by `tj doctor`: whether its MLflow answers."""

import os
import subprocess
import sys
from importlib import resources

from tests.support.processes import MlflowServer, free_port

SOURCE = resources.files("trainingjob.pod").joinpath("reaching.py").read_text()


def asked(uri: str) -> str:
    return subprocess.run(
        [sys.executable, "-c", SOURCE],
        env={**os.environ, "MLFLOW_TRACKING_URI": uri},
        capture_output=True,
        text=True,
        check=True,
    ).stdout


def test_one_that_answers_and_one_that_does_not(mlflow: MlflowServer) -> None:
    assert asked(mlflow.uri) == ""
    assert asked(f"{mlflow.uri}/no-such-page") == ""
    assert asked(f"http://127.0.0.1:{free_port()}") == "[Errno 111] Connection refused\n"
    assert asked("nothing") == "unknown url type: 'nothing'\n"
