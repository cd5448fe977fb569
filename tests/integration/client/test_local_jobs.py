"""`Client(local=True)`: the same calls without a cluster."""

import importlib
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from trainingjob import Client, JobFailed, Run, UserError

from tests.integration.client.test_local import SCRIPT
from tests.support.processes import MlflowServer


@pytest.fixture
def client(mlflow: MlflowServer, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Client:
    (tmp_path / "train.py").write_text(SCRIPT)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", mlflow.uri)
    return Client(local=True)


def test_a_job_of_this_machine(client: Client, mlflow: MlflowServer, tmp_path: Path) -> None:
    run = client.submit(["python", "train.py", "now"], workdir=tmp_path, name="train")
    assert "trained now" in list(run.logs(follow=True))
    assert run.wait().state == "Succeeded"
    assert run.metrics["train/loss"] == pytest.approx(1 / 3)
    assert run.mlflow_run_id is not None
    kept = mlflow.client.get_run(run.mlflow_run_id)
    assert kept.info.status == "FINISHED"
    assert kept.data.tags["code.command"] == "python train.py now"
    assert "trained now" in list(run.logs())
    assert list(run.logs(rank=1)) == []
    assert (client.get("train"), client.list(state="Running")) == (run, [])
    with pytest.raises(UserError, match="the run of train has no result"):
        run.result()


def test_one_that_fails_and_one_that_is_ended(client: Client, tmp_path: Path) -> None:
    failing = client.submit(["python", "train.py", "fail"], workdir=tmp_path, name="fails")
    waiting = client.submit(["python", "train.py", "wait"], workdir=tmp_path, name="waits")
    with pytest.raises(JobFailed) as failed:
        failing.wait()
    assert str(failed.value) == "fails failed: UserException: no such data"
    assert failed.value.exit_code == 1
    with pytest.raises(TimeoutError, match=r"waits has not ended within 0\.1 s"):
        waiting.wait(0.1)
    assert "trained wait" in _first_lines(waiting)
    waiting.stop()
    with pytest.raises(JobFailed, match="waits failed: Stopped"):
        waiting.wait()


def _first_lines(run: Run) -> list[str]:
    """The output up to the script's own first line."""
    lines = []
    for line in run.logs(follow=True):
        lines.append(line)
        if line.startswith("trained"):
            break
    return lines


LEAVING = """
from trainingjob import Client

Client(local=True).submit(["python", "train.py", "left"], name="left")
"""


def test_a_program_that_does_not_wait(client: Client, mlflow: MlflowServer, tmp_path: Path) -> None:
    subprocess.run([sys.executable, "-c", LEAVING], cwd=tmp_path, check=True)
    [run] = mlflow.client.search_runs(["0"], "tags.`trainingjob.name` = 'left'")
    assert run.info.status == "FINISHED"


MODULE = """
from trainingjob import job

SCALE = 2

@job(image="torch:1", nodes=2, packages=["nothing"])
def scaled(value, *, by=SCALE):
    print("scaling", value)
    return {"value": value * by}
"""


def test_a_function_of_a_module(
    client: Client, mlflow: MlflowServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "job_of_a_module.py").write_text(MODULE)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.chdir(tmp_path)
    run = importlib.import_module("job_of_a_module").scaled.on(client).submit(4, by=3)
    assert run.result() == {"value": 12}
    assert "scaling 4" in list(run.logs())
    assert run.name.startswith("scaled-")
    kept = mlflow.client.get_run(run.mlflow_run_id)
    assert kept.data.tags["code.command"] == "scaled"


def test_a_function_of_a_notebook(
    client: Client, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    names: dict[str, Any] = {"__name__": "__main__"}
    exec(MODULE, names)  # noqa: S102 - as a notebook does
    shell = SimpleNamespace(history_manager=SimpleNamespace(input_hist_parsed=["", MODULE]))
    notebook = SimpleNamespace(get_ipython=lambda: shell)
    monkeypatch.setitem(sys.modules, "IPython", notebook)
    run = names["scaled"].on(client).submit(4)
    assert run.result() == {"value": 8}
    # The module that went along is nobody's file.
    assert not list(tmp_path.rglob("trainingjob_notebook*"))


def test_what_needs_a_cluster() -> None:
    client = Client(local=True)
    assert client.namespace == "local"
    with pytest.raises(UserError, match="this client has no cluster: leave out local=True"):
        client.rerun("train")
    with pytest.raises(UserError, match="this client has no cluster"):
        client.get("train")
