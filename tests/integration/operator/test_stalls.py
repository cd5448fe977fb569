"""Jobs whose training makes no step, with a test in the part of the trainer that logs it."""

import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from functools import partial
from typing import Any

from tests.support.api import TERMINAL_RUNS, Cluster, Runs, manifest
from tests.support.histories import run_histories
from tests.support.pods import FOREVER, STARTS_SLOWLY, end_pods, wait_for_attempt
from tests.support.processes import MlflowServer, OperatorProcess
from tests.support.waiting import beside, wait_for

# Long enough for steps that a loaded machine logs late.
TIMEOUT = 12
AWAY = 12


def job(name: str, action: str, **spec: Any) -> dict[str, Any]:
    made = manifest(name, annotations={**FOREVER, **STARTS_SLOWLY})
    made["spec"] |= {"stallPolicy": {"timeoutSeconds": TIMEOUT, "action": action}, **spec}
    return made


def stalled(cluster: Cluster, name: str) -> tuple[str, str] | None:
    for one in cluster.status(name)["conditions"]:
        if one["type"] == "Stalled":
            return one["status"], one["reason"]
    return None


def step(runs: Runs, run_id: str, number: int) -> None:
    """What the trainer logs after a step; MLflow shows the highest step as the latest."""
    now = int(time.time() * 1000)
    runs.client.log_metric(run_id, "progress/step", number, timestamp=now, step=number)


def run_of(runs: Runs, name: str) -> str:
    [run] = runs.by_job()[name]
    shown: str = run.info.run_id
    return shown


@contextmanager
def stepping(runs: Runs, name: str, first: int) -> Iterator[None]:
    """Steps from `first` on, one a second."""
    run_id = run_of(runs, name)

    def steps(ended: threading.Event) -> None:
        number = first
        while not ended.wait(1):
            step(runs, run_id, number)
            number += 1

    with beside(steps):
        yield


def since(moment: str) -> float:
    return (datetime.now(UTC) - datetime.fromisoformat(moment)).total_seconds()


def tags(runs: Runs, name: str) -> dict[str, str]:
    [run] = runs.by_job()[name]
    return {
        key.removeprefix("trainingjob."): value
        for key, value in run.data.tags.items()
        if key.startswith("trainingjob.")
    }


def test_what_is_done_about_a_training_without_steps(
    cluster: Cluster, runs: Runs, mlflow: MlflowServer, operator: OperatorProcess
) -> None:
    with run_histories(mlflow, cluster.namespace) as histories:
        cluster.apply(
            job("fail", "Fail"),
            job("event", "Event"),
            job("restart", "Restart", backoffLimit=1),
            job("script", "Fail"),
        )
        for name in ("fail", "event", "restart", "script"):
            wait_for_attempt(cluster, name, 1)
        for name in ("fail", "event", "restart"):
            step(runs, run_of(runs, name), 1000)
        operator.end(signal.SIGKILL)
        operator.start()

        wait_for("fail has failed", lambda: cluster.state("fail") == "Failed", 120)
        wait_for_attempt(cluster, "restart", 2, 120)
        # Far below the first attempt's last step: only the history of the metric has these.
        with stepping(runs, "restart", 1):
            wait_for(
                "event is reported", lambda: stalled(cluster, "event") == ("True", "Stalled"), 120
            )
            wait_for("script is reported", lambda: stalled(cluster, "script") is not None, 120)
            assert stalled(cluster, "script") == ("Unknown", "NoProgressMetrics")
            with stepping(runs, "event", 1001):
                wait_for(
                    "it steps", lambda: stalled(cluster, "event") == ("False", "Stepping"), 120
                )
            running = cluster.status("restart")["runningTime"]
            wait_for("twice the time has passed", lambda: since(running) > 2 * TIMEOUT, 90)
            assert (cluster.status("restart")["attempt"], cluster.state("restart")) == (
                2,
                "Running",
            )
            for name in ("event", "restart", "script"):
                end_pods(cluster, name, 0)
            for name in ("event", "restart", "script"):
                wait_for(f"{name} ended", partial(succeeded, cluster, name), 120)
        wait_for("the runs ended", lambda: all_ended(histories), 120)
    print(histories)
    assert histories == {
        "fail": ["SCHEDULED", "RUNNING", "FAILED"],
        "event": ["SCHEDULED", "RUNNING", "FINISHED"],
        "restart": ["SCHEDULED", "RUNNING", "SCHEDULED", "RUNNING", "FINISHED"],
        "script": ["SCHEDULED", "RUNNING", "FINISHED"],
    }
    assert ("Warning", "Stalled") in cluster.events("event")
    assert cluster.status("fail")["failure"]["reason"] == "Stalled"
    assert_reported_everywhere(cluster, runs, operator)


def succeeded(cluster: Cluster, name: str) -> bool:
    return cluster.state(name) == "Succeeded"


def all_ended(histories: dict[str, list[str]]) -> bool:
    return all(history[-1] in TERMINAL_RUNS for history in histories.values())


def assert_reported_everywhere(cluster: Cluster, runs: Runs, operator: OperatorProcess) -> None:
    """Outcome, cause and goodput: in the status, on the run, in the operator's metrics."""
    shown = {name: tags(runs, name) for name in ("fail", "restart", "event")}
    assert {name: one["outcome"] for name, one in shown.items()} == {
        "fail": "Failed",
        "restart": "Succeeded",
        "event": "Succeeded",
    }
    assert (shown["restart"]["failure.attempt"], shown["restart"]["failure.reason"]) == (
        "1",
        "Stalled",
    )
    assert "failure.reason" not in shown["event"]
    for name, one in shown.items():
        sums = cluster.status(name)["goodput"]
        created = (cluster.get(name) or {})["metadata"]["creationTimestamp"]
        wall = datetime.fromisoformat(sums["until"]) - datetime.fromisoformat(created)
        phases = ("queued", "starting", "productive", "lost")
        assert [one[f"goodput.{phase}_seconds"] for phase in phases] == [
            str(sums[f"{phase}Seconds"]) for phase in phases
        ]
        assert sum(sums[f"{phase}Seconds"] for phase in phases) == wall.total_seconds()
        assert sums["until"] == cluster.status(name)["completionTime"]
    assert cluster.status("restart")["goodput"]["lostSeconds"] >= TIMEOUT
    restarts = 'trainingjob_operator_restarts_total{charged="true",reason="Stalled"}'
    assert operator.metric(restarts) == 1
    assert operator.metric('trainingjob_operator_failures_total{reason="Stalled"}') == 1
    assert operator.metric('trainingjob_operator_goodput_seconds{phase="lost"}') >= TIMEOUT


def test_an_mlflow_that_is_down_is_no_stall(
    cluster: Cluster, runs: Runs, mlflow: MlflowServer, operator: OperatorProcess
) -> None:
    made = job("away", "Fail")
    made["spec"]["stallPolicy"]["timeoutSeconds"] = AWAY
    cluster.apply(made)
    wait_for_attempt(cluster, "away", 1)
    with stepping(runs, "away", 1):
        wait_for("a step is reported", lambda: "progress/step" in metrics(runs, "away"), 30)
    mlflow.end(signal.SIGKILL)
    away_since = time.monotonic()
    wait_for("the time has passed", lambda: time.monotonic() - away_since > 1.5 * AWAY, 120)
    mlflow.start()
    with stepping(runs, "away", 100):
        back_since = time.monotonic()
        wait_for("the time has passed", lambda: time.monotonic() - back_since > 1.5 * AWAY, 120)
        assert cluster.state("away") == "Running"
        assert stalled(cluster, "away") is None
    wait_for("it stalls now", lambda: cluster.state("away") == "Failed", 120)


def metrics(runs: Runs, name: str) -> dict[str, float]:
    [run] = runs.by_job()[name]
    found: dict[str, float] = run.data.metrics
    return found
