"""`tj run --local`: the same run, tags and cause without a cluster."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from mlflow import MlflowClient
from trainingjob.core import local
from trainingjob.core.local import Ending, Identity
from trainingjob_agent.contract import Contract
from trainingjob_operator.core import contract

from tests.support.processes import MlflowServer, take_interrupts
from tests.support.waiting import wait_for

SCRIPT = """
import sys, time, mlflow

with mlflow.start_run():
    for step in range(3):
        mlflow.log_metric("train/loss", 1 / (step + 1), step=step)
    print("trained", *sys.argv[1:], flush=True)
    if "wait" in sys.argv:
        time.sleep(600)
    if "fail" in sys.argv:
        raise ValueError("no such data")
"""


# The server of the tests is there for other modules, too.
NAMED = "tags.`trainingjob.name` = 'train' and tags.`code.command` ="


def test_the_agent_reads_what_the_client_sets(tmp_path: Path) -> None:
    run = Identity("train", "u-1", "http://mlflow", "7", "f00d")
    log = tmp_path / "termination-log"
    assert Contract.from_environment(local.environment(run, str(log))) == Contract(
        name="train",
        namespace="local",
        uid="u-1",
        attempt=1,
        tracking_uri="http://mlflow",
        experiment_id="7",
        run_id="f00d",
        termination_log=log,
    )


def test_the_tags_are_those_of_the_operator() -> None:
    assert local.run_tags("train", "u-1", {"code.dirty": "true"}) == {
        contract.TAG_NAME: "train",
        contract.TAG_NAMESPACE: "local",
        contract.TAG_UID: "u-1",
        contract.TAG_ATTEMPT: "1",
        "code.dirty": "true",
    }
    failed = Ending("FAILED", "Failed", {"reason": "R", "message": "m", "frame": "f"})
    assert local.end_tags(failed, 3) == {
        contract.TAG_OUTCOME: "Failed",
        f"{contract.TAG_FAILURE}reason": "R",
        f"{contract.TAG_FAILURE}message": "m",
        f"{contract.TAG_FAILURE}frame": "f",
        f"{contract.TAG_FAILURE}attempt": "1",
        f"{contract.TAG_FAILURE}exit_code": "3",
    }
    assert local.end_tags(Ending("FINISHED", "Succeeded", {}), 0) == {
        contract.TAG_OUTCOME: "Succeeded"
    }


DESCRIBED = json.dumps({"reason": "UserException", "message": "boom", "frame": "", "step": 0})


@pytest.mark.parametrize(
    ("code", "message", "ending"),
    [
        (0, "", Ending("FINISHED", "Succeeded", {})),
        (130, DESCRIBED, Ending("KILLED", "Stopped", {})),
        (143, DESCRIBED, Ending("KILLED", "Stopped", {})),
        (1, DESCRIBED, Ending("FAILED", "Failed",
                         {"reason": "UserException", "message": "boom", "step": "0"})),
        (3, "", Ending("FAILED", "Failed",
                       {"reason": "NonZeroExitCode", "message": "exit code 3"})),
        (3, "[]", Ending("FAILED", "Failed",
                         {"reason": "NonZeroExitCode", "message": "exit code 3"})),
    ],
)  # fmt: skip
def test_how_it_ended(code: int, message: str, ending: Ending) -> None:
    assert local.ending(code, message) == ending


def environment(**variables: str) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith("MLFLOW")}
    quiet = {"MLFLOW_DISABLE_TELEMETRY": "true", "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true"}
    return {**kept, **quiet, **variables}


def command(*arguments: str) -> list[str]:
    options = ("--local", "--name", "train", "--")
    return [sys.executable, "-m", "trainingjob", "run", *options, "python", *arguments]


def run_here(
    directory: Path, *arguments: str, **variables: str
) -> "subprocess.CompletedProcess[str]":
    """What `tj run --local` prints of SCRIPT, and its exit code."""
    (directory / "train.py").write_text(SCRIPT)
    return subprocess.run(
        command("train.py", *arguments),
        cwd=directory,
        env=environment(**variables),
        capture_output=True,
        text=True,
        check=False,
    )


def test_trainings_without_any_server(tmp_path: Path) -> None:
    done = run_here(tmp_path, "now")
    assert (done.returncode, done.stdout) == (0, "trained now\n"), done.stderr
    failed = run_here(tmp_path, "fail")
    assert failed.returncode == 1
    assert failed.stdout.splitlines()[2:4] == [
        "  reason   UserException",
        "  message  no such data",
    ]
    client = MlflowClient(f"sqlite:///{tmp_path}/.trainingjob/mlflow.db")
    second, first = client.search_runs(["0"], order_by=["attributes.start_time DESC"])
    assert (first.info.run_name, first.info.status) == ("train", "FINISHED")
    assert first.data.metrics["train/loss"] == pytest.approx(1 / 3)
    assert first.data.tags["code.command"] == "python train.py now"
    assert first.data.tags["trainingjob.outcome"] == "Succeeded"
    assert second.info.status == "FAILED"
    assert second.data.tags["trainingjob.failure.message"] == "no such data"


def test_a_failure_is_explained_here_and_in_the_run(tmp_path: Path, mlflow: MlflowServer) -> None:
    done = run_here(tmp_path, "fail", MLFLOW_TRACKING_URI=mlflow.uri)
    assert done.returncode == 1
    [run] = mlflow.client.search_runs(["0"], f"{NAMED} 'python train.py fail'")
    assert run.info.status == "FAILED"
    frame = f"{tmp_path}/train.py:11 in <module>"
    assert {
        name: run.data.tags[f"trainingjob.failure.{name}"]
        for name in ("reason", "message", "frame", "exit_code")
    } == {"reason": "UserException", "message": "no such data", "frame": frame, "exit_code": "1"}
    assert done.stdout.splitlines() == [
        "trained fail",
        f"run {run.info.run_id} failed.",
        "  reason   UserException",
        "  message  no such data",
        f"  frame    {frame}",
        "→ correct the code",
    ]


def test_ctrl_c_ends_the_training_and_its_run(tmp_path: Path, mlflow: MlflowServer) -> None:
    (tmp_path / "train.py").write_text(SCRIPT)
    started = subprocess.Popen(
        command("train.py", "wait"),
        cwd=tmp_path,
        env=environment(MLFLOW_TRACKING_URI=mlflow.uri),
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
        preexec_fn=take_interrupts,
    )
    assert started.stdout is not None
    assert started.stdout.readline() == "trained wait\n"
    # A terminal sends it to all processes in front of it.
    os.killpg(started.pid, signal.SIGINT)
    started.communicate(timeout=120)
    assert started.returncode in (130, 143)

    def status() -> str:
        [run] = mlflow.client.search_runs(["0"], f"{NAMED} 'python train.py wait'")
        return str(run.info.status)

    wait_for("its run has ended", lambda: status() == "KILLED", 10)


@pytest.mark.parametrize(
    ("uri", "error"),
    [
        ("sqlite:///mlflow.db", "MLFLOW_TRACKING_URI is sqlite:///mlflow.db, which is no server"),
        ("http://127.0.0.1:9", "MLflow at http://127.0.0.1:9 does not answer as it should"),
    ],
)
def test_a_store_that_cannot_be_used(tmp_path: Path, uri: str, error: str) -> None:
    done = subprocess.run(
        command("-c", "pass"),
        cwd=tmp_path,
        env=environment(MLFLOW_TRACKING_URI=uri, MLFLOW_HTTP_REQUEST_MAX_RETRIES="0"),
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith(f"error: {error}")
    assert "Traceback" not in done.stderr
