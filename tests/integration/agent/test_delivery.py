"""Every point once, in order, with its own step and time, whatever the server does meanwhile."""

import email.utils
import itertools
import math
import signal
import ssl
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from trainingjob_agent.contract import Contract
from trainingjob_agent.delivery import rest
from trainingjob_agent.delivery.connection import RunConnection
from trainingjob_agent.delivery.sender import Sender
from trainingjob_agent.delivery.uploader import Uploader

from tests.integration.agent.delivering import (
    Script,
    all_of,
    delivered,
    history,
    log_steps,
    sender_to,
)
from tests.support.certificates import own_certificate
from tests.support.faults import Answer, FaultyServer, Request
from tests.support.pod_process import wait_until
from tests.support.processes import MlflowServer


def test_outages_at_the_start_in_the_middle_and_at_the_end(
    own_server: MlflowServer, mlflow_server: MlflowServer, run_id: str
) -> None:
    sender = sender_to(own_server.uri, run_id)
    sender.start()
    log_steps(sender, 1, 3_000)
    own_server.start()
    wait_until(lambda: sender.pending() == 0)

    own_server.end(signal.SIGKILL)
    log_steps(sender, 3_001, 6_000)
    own_server.start()
    wait_until(lambda: sender.pending() == 0)

    own_server.end(signal.SIGKILL)
    log_steps(sender, 6_001, 9_000)
    back = threading.Thread(target=own_server.start)
    back.start()
    assert sender.close(within_seconds=300)
    back.join()

    assert history(mlflow_server, run_id) == all_of(1, 9_000)


def fail_every_third(before: bool) -> Script:
    """Answer a third of the requests with 503, before or after MLflow has done them."""
    count = itertools.count(1)

    def script(request: Request, forward: Callable[[], Answer]) -> Answer:
        if next(count) % 3:
            return forward()
        if not before:
            forward()
        return Answer(503, b"<html>no</html>")

    return script


@pytest.mark.parametrize("before", [True, False], ids=["not done", "done all the same"])
def test_a_third_of_the_requests_fail(
    mlflow_server: MlflowServer, run_id: str, before: bool
) -> None:
    with FaultyServer(fail_every_third(before), mlflow_server.uri) as proxy:
        sender = sender_to(proxy.uri, run_id)
        sender.start()
        for first in range(1, 9_001, 1_000):
            log_steps(sender, first, first + 999)
            assert sender.flush(within_seconds=300)
        sender.log_metrics({"odd": math.nan}, step=1, timestamp_milliseconds=1)
        sender.log_metrics({"odd": math.inf}, step=2, timestamp_milliseconds=2)
        sender.log_metrics({"odd": -math.inf}, step=3, timestamp_milliseconds=3)
        assert sender.close(within_seconds=300)

    assert history(mlflow_server, run_id) == all_of(1, 9_000)
    assert delivered(sender) == 9_003
    odd = mlflow_server.client.get_metric_history(run_id, "odd")
    assert [(m.step, m.timestamp) for m in odd] == [(1, 1), (2, 2), (3, 3)]
    assert math.isnan(odd[0].value)
    # The largest numbers stand for the infinite in MLflow's database.
    assert (odd[1].value > 1e308, odd[2].value < -1e308) == (True, True)


def test_a_slow_server(mlflow_server: MlflowServer, run_id: str) -> None:
    """Five seconds for each request: nobody who logs waits, what gathers meanwhile goes in one."""

    def slowly(request: Request, forward: Callable[[], Answer]) -> Answer:
        never.wait(5)
        all_logged.wait(60)
        return forward()

    never, all_logged = threading.Event(), threading.Event()
    with FaultyServer(slowly, mlflow_server.uri) as proxy:
        sender = sender_to(proxy.uri, run_id)
        sender.start()
        log_steps(sender, 1, 500)
        wait_until(lambda: len(proxy.batches) == 1)
        log_steps(sender, 501, 1_400)
        all_logged.set()
        assert sender.close(within_seconds=300)

    assert history(mlflow_server, run_id) == all_of(1, 1_400)
    assert [len(batch["metrics"]) for batch in proxy.batches] == [500, 900]


def test_a_call_too_large_for_a_slow_server_becomes_smaller_ones(
    mlflow_server: MlflowServer, run_id: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_TIMEOUT", "1")

    def by_size(request: Request, forward: Callable[[], Answer]) -> Answer:
        if len(request.json["metrics"]) > 300:
            never.wait(30)
        return forward()

    never = threading.Event()
    with FaultyServer(by_size, mlflow_server.uri) as proxy:
        sender = sender_to(proxy.uri, run_id)
        log_steps(sender, 1, 1_000)
        sender.start()
        wait_until(lambda: sender.pending() == 0)
        never.set()
        assert sender.close(within_seconds=300)

    monkeypatch.delenv("MLFLOW_HTTP_REQUEST_TIMEOUT")
    assert history(mlflow_server, run_id) == all_of(1, 1_000)


def test_an_upload_may_take_longer_than_a_call_for_metrics(
    mlflow_server: MlflowServer, run_id: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The server answers to a file when it is in its store, after a call was given up as slow."""
    monkeypatch.delenv("MLFLOW_HTTP_REQUEST_TIMEOUT", raising=False)
    monkeypatch.setattr(rest, "_TIMEOUT_SECONDS", 1.0)
    tried_again = threading.Event()

    def slow(request: Request, forward: Callable[[], Answer]) -> Answer:
        if len(proxy.batches) > 1:
            tried_again.set()
        elif request.method == "PUT" or proxy.batches:
            tried_again.wait(60)
        return forward()

    file = tmp_path / "stacks.txt"
    file.write_text("all threads")
    with FaultyServer(slow, mlflow_server.uri) as proxy:
        connection = RunConnection(Contract(tracking_uri=proxy.uri, run_id=run_id))
        sender, uploader = Sender(connection), Uploader(connection)
        uploader.start()
        uploader.file(file, "hangs")
        wait_until(lambda: "PUT" in methods_of(proxy))
        sender.start()
        log_steps(sender, 1, 10)
        assert uploader.close(within_seconds=300)
        assert sender.close(within_seconds=300)

    assert methods_of(proxy).count("PUT") == 1
    assert history(mlflow_server, run_id) == all_of(1, 10)


def methods_of(proxy: FaultyServer) -> list[str]:
    return [request.method for _, request in proxy.requests]


@pytest.mark.parametrize("as_date", [False, True])
def test_retry_after_is_respected(mlflow_server: MlflowServer, run_id: str, as_date: bool) -> None:
    def once(request: Request, forward: Callable[[], Answer]) -> Answer:
        if len(proxy.requests) > 1:
            return forward()
        text = email.utils.formatdate(time.time() + 4, usegmt=True) if as_date else "3"
        return Answer.error(429, "REQUEST_LIMIT_EXCEEDED", Retry_After=text)

    with FaultyServer(once, mlflow_server.uri) as proxy:
        sender = sender_to(proxy.uri, run_id)
        sender.start()
        log_steps(sender, 1, 10)
        wait_until(lambda: sender.pending() == 0)
        sender.close(5)

    [first, second] = [moment for moment, _ in proxy.requests]
    assert second - first >= 2.9
    assert history(mlflow_server, run_id) == all_of(1, 10)


def test_a_page_of_a_proxy_is_no_delivery(mlflow_server: MlflowServer, run_id: str) -> None:
    """A login page answers 200, and a proxy's 400 says nothing of the content."""

    def script(request: Request, forward: Callable[[], Answer]) -> Answer:
        pages = [Answer(200, b"<html>log in</html>"), Answer(400, b"<html>bad gateway</html>")]
        asked = len(proxy.requests)
        return pages[asked - 1] if asked <= len(pages) else forward()

    with FaultyServer(script, mlflow_server.uri) as proxy:
        sender = sender_to(proxy.uri, run_id)
        sender.start()
        log_steps(sender, 1, 10)
        assert sender.close(within_seconds=300)

    assert history(mlflow_server, run_id) == all_of(1, 10)


def test_a_server_with_a_certificate_of_an_own_authority(
    mlflow_server: MlflowServer, run_id: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    authority, context = own_certificate(tmp_path)
    with FaultyServer(lambda _, forward: forward(), mlflow_server.uri, tls=context) as proxy:
        strange = sender_to(proxy.uri, run_id, tmp_path)
        strange.start()
        log_steps(strange, 1, 10)
        assert not strange.close(within_seconds=2)

        monkeypatch.setenv("MLFLOW_TRACKING_SERVER_CERT_PATH", str(authority))
        trusting = sender_to(proxy.uri, run_id, tmp_path)
        trusting.start()
        assert trusting.close(within_seconds=300)

    assert isinstance(context, ssl.SSLContext)
    assert history(mlflow_server, run_id) == all_of(1, 10)
