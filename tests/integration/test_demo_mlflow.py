"""The demo's MLflow with the command and the environment of the chart, under ten chatty jobs."""

import os
import sys
import time
from collections.abc import Callable, Iterator
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
JOBS, SECONDS = 10, 30.0
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
    init, dashes, program, *rest = [*described["command"], *described["args"]]
    assert (init, dashes, program) == ("tini", "--", "mlflow")
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


class Job:
    """A training whose ranks, script and monitor all log as fast as they are answered."""

    def __init__(self) -> None:
        self._client = MlflowClient()
        self._run = self._client.create_run("0").info.run_id
        self._steps = 0
        self.made = 0
        self.failed: list[str] = []

    @property
    def parts(self) -> list[Callable[[], None]]:
        """What goes on side by side."""
        return [self._sends, self._sends, self._logs]

    def _call(self, call: Callable[..., Any], *arguments: Any, **more: Any) -> None:
        try:
            call(*arguments, **more)
            self.made += 1
        except Exception as error:  # noqa: BLE001 - whatever it is, the call has failed
            self.failed.append(f"{call.__name__}: {error}")

    def _sends(self) -> None:
        """A batch takes two connections of MLflow's pool at once, one inside the other."""
        now = int(time.time() * 1000)
        self._steps += 1
        metrics = [Metric(f"system/{number}", 1.0, now, self._steps) for number in range(20)]
        parameters = [Param(f"p{self._steps}", "1")]
        tags = [RunTag("step", str(self._steps))]
        self._call(self._client.log_batch, self._run, metrics, parameters, tags)

    def _logs(self) -> None:
        self._call(self._client.log_metric, self._run, "loss", 0.5)
        self._call(self._client.log_text, self._run, "a line\n" * 1000, "notes.txt")
        self._call(self._client.get_metric_history, self._run, "loss")
        self._call(self._client.search_runs, ["0"])


def test_no_call_of_ten_chatty_jobs_fails(server: Process, monkeypatch: pytest.MonkeyPatch) -> None:
    jobs = [Job() for _ in range(JOBS)]
    # MLflow's client would try again for minutes. Once it must: an idle connection may be closed
    # just as it is used again.
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "1")
    end = time.monotonic() + SECONDS

    def go_on(part: Callable[[], None]) -> None:
        while time.monotonic() < end:
            part()

    parts = [part for job in jobs for part in job.parts]
    with ThreadPoolExecutor(len(parts)) as pool:
        list(pool.map(go_on, parts))
    print(f"{sum(job.made for job in jobs)} calls in {SECONDS:g} s")
    assert [failure for job in jobs for failure in job.failed] == []
    log = server.log.read_text()
    assert [words for words in GIVEN_UP if words in log] == []
