"""Metric points a second until all are in MLflow's database: by call, by MLflow's queue, by ours.

All in turn, against one real server in the same minutes. Figures are printed, not judged: a
shared machine is no judge.
"""

import statistics
import time
from collections.abc import Callable

import pytest
from mlflow import MlflowClient
from trainingjob_agent.contract import Contract
from trainingjob_agent.delivery.connection import RunConnection
from trainingjob_agent.delivery.sender import Sender

from tests.bench.report import report
from tests.support.processes import MlflowServer

ROUNDS = 3
KEYS = [f"train/metric_{number}" for number in range(10)]


def by_call(uri: str, run_id: str, steps: int) -> float:
    """Log with MlflowClient.log_metric; seconds that the caller spent."""
    client = MlflowClient(uri)
    began = time.monotonic()
    for step in range(1, steps + 1):
        for key in KEYS:
            client.log_metric(run_id, key, 1 / step, step=step)
    return time.monotonic() - began


def by_mlflow_queue(uri: str, run_id: str, steps: int) -> float:
    """The same with synchronous=False."""
    client = MlflowClient(uri)
    began = time.monotonic()
    operations = [
        client.log_metric(run_id, key, 1 / step, step=step, synchronous=False)
        for step in range(1, steps + 1)
        for key in KEYS
    ]
    spent = time.monotonic() - began
    for operation in operations:
        assert operation is not None
        operation.wait()  # type: ignore[no-untyped-call]  # MLflow's
    return spent


def by_mlflow_queue_in_batches(uri: str, run_id: str, steps: int) -> float:
    """The same, MLflow gathering calls for two seconds, which it does not by default."""
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("MLFLOW_ASYNC_LOGGING_BUFFERING_SECONDS", "2")
        return by_mlflow_queue(uri, run_id, steps)


def by_sender(uri: str, run_id: str, steps: int) -> float:
    """The same with our sender."""
    sender = Sender(RunConnection(Contract(tracking_uri=uri, run_id=run_id)))
    sender.start()
    began = time.monotonic()
    for step in range(1, steps + 1):
        sender.log_metrics(dict.fromkeys(KEYS, 1 / step), step=step)
    spent = time.monotonic() - began
    assert sender.close(within_seconds=300)
    return spent


WAYS: dict[str, tuple[Callable[[str, str, int], float], int]] = {
    "log_metric by call": (by_call, 30),
    "MLflow's async logging": (by_mlflow_queue, 100),
    "…, MLflow buffering 2 s": (by_mlflow_queue_in_batches, 1_000),
    "our sender": (by_sender, 3_000),
}
"""What to call, and the number of steps of ten points each: some seconds for each way."""


@pytest.mark.timeout(1200)
def test_points_a_second(mlflow: MlflowServer) -> None:
    client = MlflowClient(mlflow.uri)
    rates: dict[str, list[float]] = {name: [] for name in WAYS}
    caller: dict[str, list[float]] = {name: [] for name in WAYS}
    for _ in range(ROUNDS):
        for name, (log, steps) in WAYS.items():
            run_id = client.create_run("0").info.run_id
            began = time.monotonic()
            spent = log(mlflow.uri, run_id, steps)
            points = steps * len(KEYS)
            rates[name].append(points / (time.monotonic() - began))
            caller[name].append(spent / points * 1e6)
            assert len(client.get_metric_history(run_id, KEYS[-1])) == steps

    base = statistics.median(rates["log_metric by call"])
    rows = []
    for name in WAYS:
        rate, waits = statistics.median(rates[name]), statistics.median(caller[name])
        rows.append((name, f"{rate:,.0f}", f"{rate / base:.1f}", f"{waits:,.1f} µs"))
    columns = ("points/s until all are in the database", "ratio", "the caller waits for a point")
    report("delivery", "Metric points", columns, *rows)
