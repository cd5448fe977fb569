"""The agent in other people's images: Python 3.10 to 3.13, MLflow 2.10 to 3, without torch."""

import json
import os
import subprocess
from pathlib import Path

import pytest

from tests.integration.agent.environments import Environment, build_wheel, environments, make
from tests.support.processes import MlflowServer, free_port

SCRIPT = Path(__file__).parent / "scripts" / "without_torch_script.py"


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_wheel(tmp_path_factory.mktemp("wheel"))


@pytest.fixture(
    params=environments(),
    ids=lambda param: f"python{param[0]}-mlflow{param[2][0]}",
)
def environment(request: pytest.FixtureRequest, wheel: Path, tmp_path: Path) -> Environment:
    _, python, (release, *others) = request.param
    client = f"mlflow-skinny=={release}.*"
    return make(tmp_path / "environment", python, str(wheel), client, *others)


@pytest.mark.timeout(1200)
def test_a_script_in_the_environment(
    environment: Environment, mlflow: MlflowServer, tmp_path: Path
) -> None:
    run_id = mlflow.create_run("u-1", name="digits")
    termination_log = tmp_path / "termination-log"
    python = environment.output("import sys; print('{}.{}'.format(*sys.version_info))")

    done = subprocess.run(
        [environment.program("trainingjob-exec"), "--", environment.program("python"), str(SCRIPT)],
        env={
            "PATH": os.environ["PATH"],
            "TRAININGJOB_NAME": "digits",
            "TRAININGJOB_UID": "u-1",
            "TRAININGJOB_ATTEMPT": "1",
            "TRAININGJOB_MLFLOW_RUN_ID": run_id,
            "TRAININGJOB_MONITOR_INTERVAL": "1",
            "TRAININGJOB_METRICS_PORT": str(free_port()),
            "TRAININGJOB_TERMINATION_LOG": str(termination_log),
            "TRAININGJOB_CHECKPOINT_DIR": str(tmp_path),
            "MLFLOW_RUN_ID": run_id,
            "MLFLOW_TRACKING_URI": mlflow.uri,
            "MLFLOW_EXPERIMENT_ID": "0",
        },
        capture_output=True,
        text=True,
        timeout=300,
    )

    assert done.returncode == 1, done.stderr
    assert json.loads(termination_log.read_text()) == {
        "reason": "UserException",
        "message": "the loss is NaN in step 4",
        "exception": "ValueError",
        "frame": f"{SCRIPT}:12 in train",
        "rank": 0,
        "epoch": None,
        "step": None,
    }
    assert "goes on without" not in done.stderr
    assert "goes unnoticed" not in done.stderr
    client = mlflow.client
    run = client.get_run(run_id)
    assert run.data.params == {"learning_rate": "0.05", "python": python}
    assert run.data.tags["torch"] == "None"
    losses = client.get_metric_history(run_id, "train/loss")
    assert [(one.step, one.value) for one in losses] == [(1, 1.0), (2, 1 / 2), (3, 1 / 3)]
    assert run.data.metrics["system/system_memory_usage_megabytes"] > 0
    assert run.info.status == "RUNNING"
    (part,) = client.search_runs(["0"], f"tags.`mlflow.parentRunId` = '{run_id}'")
    assert part.data.metrics == {"part/loss": 2.0}
    assert part.data.tags["trainingjob.opened_by"] == "u-1"
    assert [one.path for one in client.list_artifacts(run_id, "logs/attempt-1")] == [
        "logs/attempt-1/node-0.txt"
    ]
