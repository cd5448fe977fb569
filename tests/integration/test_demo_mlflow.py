"""The demo's MLflow with the command and the environment of the chart, under ten chatty jobs."""

import os
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
import yaml
from mlflow import MlflowClient
from mlflow.entities import Metric, Param, RunTag

from tests.support.processes import Process, answers, free_port
from tests.support.waiting import wait_for

MANIFEST = Path(__file__).parents[2] / "manifests" / "mlflow-demo.yaml"
JOBS, RANKS, STEPS = 10, 3, 4
# A call waited for a connection, or for SQLite's only writer, until the server gave it up.
GIVEN_UP = ("QueuePool limit", "database is locked")


def container() -> dict[str, Any]:
    """MLflow's container of the rendered chart."""
    documents = yaml.safe_load_all(MANIFEST.read_text())
    [deployment] = [one for one in documents if one and one["kind"] == "Deployment"]
    [found] = deployment["spec"]["template"]["spec"]["containers"]
    return dict(found)


@pytest.fixture
def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Process]:
    """The container's process on this machine: other paths, another port, no init before it."""
    described, port = container(), free_port()
    assert described["command"][:3] == ["tini", "--", "mlflow"]
    rest: list[str] = [*described["command"][3:], *described["args"]]
    here = {"/data/": f"{tmp_path}/", "=5000": f"={port}", "0.0.0.0": "127.0.0.1"}  # noqa: S104 - replaced
    for there, local in here.items():
        rest = [argument.replace(there, local) for argument in rest]
    plain = {one["name"]: one["value"] for one in described["env"] if "value" in one}
    process = Process(
        command=[sys.executable, "-m", "mlflow", *rest],
        environment={**plain, "HOME": os.environ["HOME"]},
        log=tmp_path / "mlflow.log",
    )
    process.start()
    uri = f"http://127.0.0.1:{port}"
    wait_for("MLflow answers", lambda: answers(f"{uri}/health"), 300)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)
    # Its first search imports what two at once would trip over: that is no matter of load.
    MlflowClient().search_runs(["0"])
    yield process
    process.end()


def send(run: str, rank: int, step: int) -> None:
    """What a rank's sender sends at once: metrics, a parameter, a tag."""
    now = int(time.time() * 1000)
    metrics = [Metric(f"system/{rank}/{number}", 1.0, now, step) for number in range(20)]
    parameters = [Param(f"{rank}.{step}", "1")]
    MlflowClient().log_batch(run, metrics, parameters, [RunTag(f"step-{rank}", str(step))])


def log(run: str, rank: int, step: int) -> None:
    """What a user's script does beside it."""
    client = MlflowClient()
    client.log_metric(run, f"loss-{rank}", 0.5, step=step)
    client.log_text(run, "a line\n" * 1000, f"notes/{rank}.txt")
    client.get_metric_history(run, f"loss-{rank}")


def test_no_call_of_ten_chatty_jobs_fails(server: Process, monkeypatch: pytest.MonkeyPatch) -> None:
    """Their ranks step together, so that the batches of all come at once."""
    runs = [MlflowClient().create_run("0").info.run_id for _ in range(JOBS)]
    ranks = [(run, rank) for run in runs for rank in range(RANKS)]
    # MLflow's client would try again for minutes. Once it must: an idle connection may be closed
    # just as it is used again.
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "1")
    with ThreadPoolExecutor(len(ranks)) as pool:
        for step in range(STEPS):
            for part in (send, log):
                calls = [pool.submit(part, run, rank, step) for run, rank in ranks]
                assert [failure for call in calls if (failure := call.exception())] == []
    log_of_server = server.log.read_text()
    assert [words for words in GIVEN_UP if words in log_of_server] == []
    for run in runs:
        assert len(MlflowClient().get_run(run).data.params) == RANKS * STEPS
