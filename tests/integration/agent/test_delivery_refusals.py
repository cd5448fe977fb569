"""What a server does not take holds up nothing else, and is given up only when it must be."""

import itertools
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.integration.agent.delivering import all_of, history, log_steps, sender_to
from tests.support.faults import POOL_TIMEOUT, Answer, FaultyServer, Request
from tests.support.pod_process import wait_until
from tests.support.processes import MlflowServer


def test_what_mlflow_refuses_is_found_by_halving(
    mlflow_server: MlflowServer, run_id: str, caplog: pytest.LogCaptureFixture
) -> None:
    def refuse(request: Request, forward: Callable[[], Answer]) -> Answer:
        if b"refused" in request.body:
            return Answer.error(400, "INVALID_PARAMETER_VALUE")
        return forward()

    with FaultyServer(refuse, mlflow_server.uri) as proxy:
        sender = sender_to(proxy.uri, run_id)
        log_steps(sender, 1, 700)
        sender.log_metrics({"refused": 1.0}, step=1)
        log_steps(sender, 701, 900)
        sender.start()
        assert sender.close(within_seconds=300)

    assert history(mlflow_server, run_id) == all_of(1, 900)
    assert len(proxy.batches) < 25
    assert [text for text in caplog.messages if "MLflow refuses" in text] == [
        text for text in caplog.messages if "refused" in text
    ]
    assert sender.dropped._value.get() == 1


def test_a_database_without_a_free_connection_refuses_nothing(
    mlflow_server: MlflowServer, run_id: str, caplog: pytest.LogCaptureFixture
) -> None:
    """MLflow answers 400 to that, as to what it does not take."""
    answers = iter([Answer.error(400, "BAD_REQUEST", POOL_TIMEOUT)] * 2)

    def busy(_: Request, forward: Callable[[], Answer]) -> Answer:
        return next(answers, None) or forward()

    with FaultyServer(busy, mlflow_server.uri) as proxy:
        sender = sender_to(proxy.uri, run_id)
        log_steps(sender, 1, 200)
        sender.start()
        assert sender.close(within_seconds=300)

    assert history(mlflow_server, run_id) == all_of(1, 200)
    assert "refuses" not in caplog.text
    assert sender.dropped._value.get() == 0


def test_ten_thousand_keys_of_which_some_are_very_long(
    mlflow_server: MlflowServer, run_id: str, caplog: pytest.LogCaptureFixture
) -> None:
    keys = {f"layer/{number}/norm" for number in range(9_990)}
    long_keys = {"very/long/" * 100 + str(number) for number in range(10)}
    sender = sender_to(mlflow_server.uri, run_id)
    sender.start()
    sender.log_metrics(dict.fromkeys(sorted(keys | long_keys), 1.0), step=1)
    sender.log_params({"p" * 300: "v" * 7_000, "text\udc80": "\udc80"})

    assert sender.close(within_seconds=300)

    data = mlflow_server.client.get_run(run_id).data
    assert len(data.metrics) == 10_000
    assert keys < set(data.metrics)
    assert sorted(map(len, set(data.metrics) - keys)) == [250] * 10
    assert {key[:4]: value for key, value in data.params.items()} == {
        "pppp": "v" * 6_000,
        "text": "_",
    }
    assert caplog.text.count("MLflow cannot take the key") == len(long_keys) + 2


def test_a_name_that_mlflow_does_not_take_is_mended_and_that_is_said_once(
    mlflow_server: MlflowServer, run_id: str, caplog: pytest.LogCaptureFixture
) -> None:
    with FaultyServer(lambda _, forward: forward(), mlflow_server.uri) as proxy:
        sender = sender_to(proxy.uri, run_id)
        sender.start()
        for step in range(1, 4):
            sender.log_metrics({"acc@1": step, "time [s]": step, "/a//b": step}, step=step)
            assert sender.flush(within_seconds=300)
        sender.log_params({"räume (m²)": 3})
        sender.set_tags({"a#b": "c"})
        assert sender.close(within_seconds=300)

    data = mlflow_server.client.get_run(run_id).data
    assert data.metrics == {"acc_1": 3, "time _s_": 3, "_/a/_/b": 3}
    assert data.params == {"räume _m²_": "3"}
    assert data.tags["a_b"] == "c"
    assert [message for message in caplog.messages if "acc@1" in message] == [
        "MLflow cannot take the key 'acc@1': it becomes 'acc_1'"
    ]
    assert "refuses" not in caplog.text


@pytest.mark.parametrize("status", [401, 403])
def test_without_permission_points_wait_and_it_is_said_once(
    mlflow_server: MlflowServer,
    run_id: str,
    tmp_path: Path,
    status: int,
    caplog: pytest.LogCaptureFixture,
) -> None:
    with FaultyServer(lambda *_: Answer(status, b"log in"), mlflow_server.uri) as proxy:
        sender = sender_to(proxy.uri, run_id, tmp_path)
        sender.start()
        log_steps(sender, 1, 10)
        wait_until(lambda: len(proxy.requests) == 1)
        log_steps(sender, 11, 2_000)
        wait_until(lambda: sender._spool.points == 2_000)
        assert not sender.close(within_seconds=5)

    assert len(proxy.requests) <= 2
    assert caplog.text.count(f"answers {status}: log in") == 1
    assert "2000 metric points wait in" in caplog.text
    following = sender_to(mlflow_server.uri, run_id, tmp_path)
    following.start()
    assert following.close(within_seconds=300)
    assert history(mlflow_server, run_id) == all_of(1, 2_000)


def test_a_deleted_run_is_one_error_and_points_wait_for_its_restoration(
    mlflow_server: MlflowServer, run_id: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    mlflow_server.client.delete_run(run_id)
    with FaultyServer(lambda _, forward: forward(), mlflow_server.uri) as proxy:
        sender = sender_to(proxy.uri, run_id, tmp_path)
        sender.start()
        log_steps(sender, 1, 100)
        wait_until(lambda: "the run is deleted" in caplog.text)
        log_steps(sender, 101, 200)
        assert not sender.close(within_seconds=5)

    assert len(proxy.batches) <= 2
    assert caplog.text.count("the run is deleted") == 1
    mlflow_server.client.restore_run(run_id)
    following = sender_to(mlflow_server.uri, run_id, tmp_path)
    following.start()
    assert following.close(within_seconds=300)
    assert history(mlflow_server, run_id) == all_of(1, 200)


def test_what_mlflow_fails_on_is_found_and_the_rest_goes_on(
    mlflow_server: MlflowServer, run_id: str, caplog: pytest.LogCaptureFixture
) -> None:
    """A bug of the server, or a filter before it, answers 500 to one key, for ever."""

    def script(request: Request, forward: Callable[[], Answer]) -> Answer:
        return Answer(500, b"oops") if b"poison" in request.body else forward()

    with FaultyServer(script, mlflow_server.uri) as proxy:
        sender = sender_to(proxy.uri, run_id)
        log_steps(sender, 1, 400)
        sender.log_metrics({"poison": 1.0}, step=1)
        log_steps(sender, 401, 900)
        sender.start()
        wait_until(lambda: sender.pending() == 0, 120)
        log_steps(sender, 901, 1_000)
        assert sender.close(within_seconds=300)

    assert history(mlflow_server, run_id) == all_of(1, 1_000)
    assert [text for text in caplog.messages if "MLflow fails on" in text] == [
        text for text in caplog.messages if "poison" in text
    ]
    assert sender.dropped._value.get() == 1


def test_what_waits_through_an_outage_of_500s_is_never_given_up(
    mlflow_server: MlflowServer, run_id: str
) -> None:
    """One item alone, and each time it fails the server fails on everything else, too."""
    count = itertools.count(1)

    def script(request: Request, forward: Callable[[], Answer]) -> Answer:
        return Answer(500, b"oops") if next(count) <= 8 else forward()

    with FaultyServer(script, mlflow_server.uri) as proxy:
        sender = sender_to(proxy.uri, run_id)
        log_steps(sender, 1, 1)
        sender.start()
        wait_until(lambda: sender.pending() == 0, 120)
        assert sender.close(within_seconds=300)

    assert history(mlflow_server, run_id) == all_of(1, 1)
    assert sender.dropped._value.get() == 0
