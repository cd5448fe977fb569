import socket
import time
import uuid
from collections.abc import Callable
from pathlib import Path

import pytest
from mlflow.entities import Metric
from PIL import Image
from trainingjob_agent.contract import Contract
from trainingjob_agent.delivery.connection import (
    NAME_TAG,
    NAMESPACE_TAG,
    UID_TAG,
    RunConnection,
    RunNotFoundError,
)
from trainingjob_agent.delivery.sender import Sender
from trainingjob_agent.delivery.uploader import Uploader

from tests.support.faults import Answer, FaultyServer, Request
from tests.support.pod_process import wait_until
from tests.support.processes import MlflowServer


def connect(server: MlflowServer, run_id: str | None, uid: str | None = None) -> RunConnection:
    return RunConnection(Contract(tracking_uri=server.uri, run_id=run_id, uid=uid))


def value(counter: object) -> float:
    return counter._value.get()  # type: ignore[attr-defined, no-any-return]  # prometheus_client has no public read


def wait_longer_than_in_the_spool() -> None:
    """Wait longer than a point does there that somebody waits for."""
    since = time.monotonic()
    wait_until(lambda: time.monotonic() - since > 3)


def test_everything_arrives_with_the_step_and_time_of_its_capture(
    mlflow_server: MlflowServer,
) -> None:
    run_id = mlflow_server.create_run()
    sender = Sender(connect(mlflow_server, run_id))
    sender.start()
    for step in range(1, 2502):
        sender.log_metrics({"train/loss": 1 / step}, step=step, timestamp_milliseconds=1000 + step)
    sender.log_params({"epochs": 5, "task": "mnist"})
    sender.set_tags({"kind": "test"})

    assert sender.close(within_seconds=300)

    history = mlflow_server.client.get_metric_history(run_id, "train/loss")
    assert sorted((m.step, m.timestamp, m.value) for m in history) == [
        (step, 1000 + step, 1 / step) for step in range(1, 2502)
    ]
    run = mlflow_server.client.get_run(run_id)
    assert run.data.params == {"epochs": "5", "task": "mnist"}
    assert run.data.tags["kind"] == "test"
    assert (value(sender.delivered), value(sender.dropped), sender.pending()) == (2501, 0, 0)


def test_a_point_is_delivered_within_seconds_of_its_capture(mlflow_server: MlflowServer) -> None:
    run_id = mlflow_server.create_run()
    sender = Sender(connect(mlflow_server, run_id))
    sender.start()
    sender.log_metrics({"progress/step": 1}, step=1)

    wait_until(lambda: "progress/step" in mlflow_server.client.get_run(run_id).data.metrics)
    sender.close(within_seconds=5)


@pytest.mark.parametrize("end", ["release", "flush", "close"])
def test_what_is_held_goes_when_it_is_let_go_and_when_there_is_a_hurry(
    mlflow_server: MlflowServer, end: str
) -> None:
    run_id = mlflow_server.create_run()
    sender = Sender(connect(mlflow_server, run_id))
    sender.hold(1000)
    sender.start()
    sender.log_metrics({"system/cpu": 1}, step=1)
    wait_longer_than_in_the_spool()
    assert sender.pending() == 1

    if end == "release":
        sender.hold(0)
        wait_until(lambda: sender.pending() == 0)
    elif end == "flush":
        assert sender.flush(within_seconds=300)
    assert sender.close(within_seconds=300)

    assert mlflow_server.client.get_run(run_id).data.metrics == {"system/cpu": 1}


def test_what_nobody_waits_for_goes_with_what_somebody_does(mlflow_server: MlflowServer) -> None:
    run_id = mlflow_server.create_run()
    sender = Sender(connect(mlflow_server, run_id))
    calls_before = mlflow_server.requests("runs/log-batch")
    sender.start()
    for step in (1, 2):
        sender.log_metrics({"system/cpu": step}, step=step, patience_seconds=1000)
        wait_longer_than_in_the_spool()
    assert mlflow_server.requests("runs/log-batch") == calls_before

    sender.log_metrics({"train/loss": 0.5}, step=1)
    wait_until(lambda: sender.pending() == 0)

    assert mlflow_server.requests("runs/log-batch") == calls_before + 1
    assert mlflow_server.client.get_run(run_id).data.metrics == {"system/cpu": 2, "train/loss": 0.5}
    assert sender.close(within_seconds=300)


def test_what_mlflow_refuses_costs_nothing_else(mlflow_server: MlflowServer) -> None:
    run_id = mlflow_server.create_run()
    mlflow_server.client.log_param(run_id, "epochs", "3")
    sender = Sender(connect(mlflow_server, run_id))
    sender.log_params({"epochs": 5, "seed": 1})
    sender.log_metrics({"a": 1.0, "c": 3.0, "d": float("nan")}, step=1)
    sender.start()

    assert sender.close(within_seconds=300)

    data = mlflow_server.client.get_run(run_id).data
    assert data.params == {"epochs": "3", "seed": "1"}
    assert set(data.metrics) == {"a", "c", "d"}
    assert (value(sender.delivered), value(sender.dropped)) == (3, 0)


def test_the_run_is_found_by_its_tag_once_the_operator_has_created_it(
    mlflow_server: MlflowServer,
) -> None:
    uid = str(uuid.uuid4())
    connection = connect(mlflow_server, None, uid)
    with pytest.raises(RunNotFoundError):
        connection.resolve()
    sender = Sender(connection)
    sender.start()
    sender.log_metrics({"train/loss": 0.5}, step=1, timestamp_milliseconds=77)

    run_id = mlflow_server.create_run(uid)
    mlflow_server.create_run(uid)

    assert sender.close(within_seconds=300)
    assert connection.resolve()[1] == run_id
    history = mlflow_server.client.get_metric_history(run_id, "train/loss")
    assert history == [Metric("train/loss", 0.5, 77, 1)]


def test_a_run_that_has_only_the_jobs_uid_is_not_the_jobs(mlflow_server: MlflowServer) -> None:
    uid = str(uuid.uuid4())
    mlflow_server.create_run(uid)
    tags = {UID_TAG: uid, NAME_TAG: "mnist", NAMESPACE_TAG: "ml"}
    own = mlflow_server.client.create_run("0", tags=tags).info.run_id
    contract = Contract(name="mnist", namespace="ml", tracking_uri=mlflow_server.uri, uid=uid)
    assert RunConnection(contract).resolve()[1] == own


def test_an_outage_delays_delivery_and_never_the_one_who_logs(
    own_server: MlflowServer, mlflow_server: MlflowServer, run_id: str
) -> None:
    sender = Sender(connect(own_server, run_id))
    sender.start()
    began = time.monotonic()
    for step in range(1, 5001):
        sender.log_metrics({"train/loss": 1 / step}, step=step)
    assert time.monotonic() - began < 30
    own_server.start()
    wait_until(lambda: sender.pending() == 0)

    history = mlflow_server.client.get_metric_history(run_id, "train/loss")
    assert sorted(m.step for m in history) == list(range(1, 5001))
    assert value(sender.dropped) == 0
    sender.close(within_seconds=1)


def test_a_server_that_never_answers_cannot_hold_the_end(
    caplog: pytest.LogCaptureFixture,
) -> None:
    with socket.socket() as mute:
        mute.bind(("127.0.0.1", 0))
        mute.listen()
        uri = f"http://127.0.0.1:{mute.getsockname()[1]}"
        sender = Sender(RunConnection(Contract(tracking_uri=uri, run_id="abc")), max_points=100)
        sender.start()
        for step in range(1, 151):
            sender.log_metrics({"train/loss": 1.0}, step=step)

        began = time.monotonic()
        assert not sender.close(within_seconds=1.5)

    assert time.monotonic() - began < 30
    assert value(sender.dropped) >= 100
    assert "did not reach MLflow" in caplog.text


def test_samples_are_an_artifact_and_a_step_of_the_image_slider(
    mlflow_server: MlflowServer, tmp_path: Path
) -> None:
    file = tmp_path / "epoch_002.png"
    Image.new("RGB", (40, 30), "red").save(file)
    run_id = mlflow_server.create_run()
    uploader = Uploader(connect(mlflow_server, run_id))
    uploader.start()
    uploader.sample_image(tmp_path / "absent.png", 1)
    uploader.sample_image(file, 2)

    assert uploader.close(within_seconds=300)

    client = mlflow_server.client
    assert [a.path for a in client.list_artifacts(run_id, "samples")] == ["samples/epoch_002.png"]
    images = [a.path for a in client.list_artifacts(run_id, "images")]
    assert len(images) == 2
    assert all(path.startswith("images/samples+step+2+timestamp+") for path in images)


@pytest.mark.parametrize("status", [413, 403])
def test_a_file_that_is_not_taken_holds_up_no_other_and_one_refused_is_dropped(
    mlflow_server: MlflowServer,
    run_id: str,
    tmp_path: Path,
    status: int,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """413 is the last word on a file of that size, 403 is not: somebody may give permission."""

    def refuse(request: Request, forward: Callable[[], Answer]) -> Answer:
        return Answer(status) if request.path.endswith("/large.txt") else forward()

    with FaultyServer(refuse, mlflow_server.uri) as proxy:
        uploader = Uploader(RunConnection(Contract(tracking_uri=proxy.uri, run_id=run_id)))
        for name in ("large", "small", "smaller"):
            file = tmp_path / f"{name}.txt"
            file.write_text(name)
            uploader.file(file, "files")
        uploader.start()
        wait_until(lambda: uploads(mlflow_server, run_id) == ["small.txt", "smaller.txt"])
        assert uploader.close(within_seconds=300 if status == 413 else 1) == (status == 413)

    tries = [r for _, r in proxy.requests if r.path.endswith("/large.txt")]
    assert (len(tries) == 1) == (status == 413)
    said = "cannot upload" if status == 413 else "not uploaded in time:"
    assert f"{said} files/large.txt" in caplog.text


def uploads(server: MlflowServer, run_id: str) -> list[str]:
    return [Path(file.path).name for file in server.client.list_artifacts(run_id, "files")]
