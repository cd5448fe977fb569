import time

import pytest
from trainingjob_agent.contract import Contract
from trainingjob_agent.delivery.connection import RunConnection
from trainingjob_agent.delivery.sender import Sender
from trainingjob_agent.monitor import SystemMonitor

from tests.support.metric_sink import Sink
from tests.support.pod_process import wait_until
from tests.support.processes import MlflowServer


def test_the_first_sample_does_not_wait_for_the_interval() -> None:
    sink = Sink()
    monitor = SystemMonitor(sink, run_id="abc", interval_seconds=3600)
    monitor.start()
    wait_until(lambda: len(sink.logged) == 1)
    monitor.stop()


def test_samples_at_each_interval_and_at_the_end_whatever_fails() -> None:
    sink = Sink()
    monitor = SystemMonitor(sink, run_id="abc", interval_seconds=0.2, prefix="system/1/")
    monitor.start()
    wait_until(lambda: len(sink.logged) >= 4)
    before_the_end = len(sink.logged)
    monitor.stop()

    assert not monitor.is_alive()
    assert len(sink.logged) > before_the_end
    assert [step for _, step, _ in sink.logged] == sink.times
    run_ids, names = {run_id for run_id, _, _ in sink.logged}, sink.logged[0][2]
    assert run_ids == {"abc"}
    assert "system/1/cpu_utilization_percentage" in names
    assert all(name.startswith("system/1/") for name in names)


@pytest.mark.parametrize(
    ("interval_seconds", "patience_seconds"), [(1.0, 2.0), (10.0, 20.0), (60.0, 30.0)]
)
def test_the_first_sample_is_sent_at_once_and_later_ones_by_three(
    interval_seconds: float, patience_seconds: float
) -> None:
    sink = Sink()
    monitor = SystemMonitor(sink, interval_seconds=interval_seconds)

    monitor.log_metrics_to_mlflow()
    with pytest.raises(ConnectionError):
        monitor.log_metrics_to_mlflow()
    monitor.log_metrics_to_mlflow()

    assert sink.patience_seconds == [0.0, patience_seconds, patience_seconds]


def test_a_monitor_stopped_at_once_still_takes_one_sample() -> None:
    sink = Sink()
    monitor = SystemMonitor(sink, interval_seconds=60)
    monitor.start()
    monitor.stop()

    assert len(sink.logged) == 1


def test_the_steps_of_a_clock_that_is_set_back_grow(monkeypatch: pytest.MonkeyPatch) -> None:
    sink = Sink()
    monitor = SystemMonitor(sink)
    monitor.log_metrics_to_mlflow()
    [(_, first, _)] = sink.logged
    monkeypatch.setattr(time, "time_ns", lambda: (first - 3_600_000) * 1_000_000)

    with pytest.raises(ConnectionError):
        monitor.log_metrics_to_mlflow()
    monitor.log_metrics_to_mlflow()

    assert [step for _, step, _ in sink.logged] == [first, first + 1, first + 2]


def test_logs_by_run_id_without_an_active_run_and_whatever_the_status(
    mlflow_server: MlflowServer,
) -> None:
    import mlflow

    client, run_id = mlflow_server.client, mlflow_server.create_run()
    runs_before = len(client.search_runs(["0"]))
    sender = Sender(RunConnection(Contract(tracking_uri=mlflow_server.uri, run_id=run_id)))
    sender.start()
    monitor = SystemMonitor(sender, run_id=run_id, interval_seconds=0.1)
    name = "system/cpu_utilization_percentage"

    def points() -> int:
        return len(client.get_metric_history(run_id, name))

    monitor.start()
    wait_until(lambda: points() >= 2)
    assert client.get_run(run_id).info.status == "RUNNING"

    client.set_terminated(run_id, "FAILED")
    so_far = points()
    wait_until(lambda: points() > so_far)
    monitor.log_metrics_to_mlflow()
    monitor.stop()
    assert sender.close(within_seconds=300)

    history = client.get_metric_history(run_id, name)
    # Two samples within a millisecond have steps of their own, and so has one after the machine's
    # clock was set back a little.
    steps = [point.step for point in history]
    assert len(set(steps)) == len(steps)
    assert all(0 <= point.step - point.timestamp < 1000 for point in history)
    assert client.get_run(run_id).info.status == "FAILED"
    assert mlflow.active_run() is None
    assert len(client.search_runs(["0"])) == runs_before


def test_the_steps_of_the_next_attempt_go_on_and_the_latest_value_is_the_newest(
    mlflow_server: MlflowServer,
) -> None:
    client, run_id = mlflow_server.client, mlflow_server.create_run()
    name = "system/1/system_memory_usage_megabytes"
    for _ in ("the first attempt", "the second"):
        sender = Sender(RunConnection(Contract(tracking_uri=mlflow_server.uri, run_id=run_id)))
        monitor = SystemMonitor(sender, run_id=run_id, prefix="system/1/")
        for _ in range(3):
            monitor.log_metrics_to_mlflow()
        sender.start()
        assert sender.close(within_seconds=300)

    history = sorted(client.get_metric_history(run_id, name), key=lambda point: point.timestamp)
    assert len({point.step for point in history}) == 6
    assert [point.step for point in history] == sorted(point.step for point in history)
    assert client.get_run(run_id).data.metrics[name] == history[-1].value
