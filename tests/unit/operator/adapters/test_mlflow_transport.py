"""The MLflow adapter against servers that misbehave, need a login or a certificate."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer
from trainingjob_operator.adapters.mlflow_rest import Credentials, MlflowApi, MlflowError

from tests.support.certificates import own_certificate
from tests.support.faults import POOL_TIMEOUT

RUN = {
    "run": {
        "info": {
            "run_id": "r",
            "experiment_id": "1",
            "status": "RUNNING",
            "start_time": 1,
            "lifecycle_stage": "active",
        }
    }
}


class Server:
    """Answers every request with `answer`, or never if that is None."""

    def __init__(self) -> None:
        self.answer: web.Response | None = web.json_response(RUN)
        self.logins: list[str | None] = []
        self.at_once = self.most_at_once = 0
        self.release = asyncio.Event()

    async def handle(self, request: web.Request) -> web.Response:
        self.logins.append(request.headers.get("Authorization"))
        self.at_once += 1
        self.most_at_once = max(self.most_at_once, self.at_once)
        await asyncio.sleep(0)
        if self.answer is None:
            await self.release.wait()
        self.at_once -= 1
        answer = self.answer or web.Response()
        return web.Response(status=answer.status, body=answer.body, headers=answer.headers)

    def application(self) -> web.Application:
        application = web.Application()
        application.router.add_route("*", "/{path:.*}", self.handle)
        return application


@pytest.fixture
async def server() -> Server:
    return Server()


@pytest.fixture
async def uri(server: Server) -> AsyncIterator[str]:
    async with TestServer(server.application()) as listening:
        yield str(listening.make_url("/"))
        server.release.set()


def error(status: int, code: str) -> web.Response:
    return web.json_response({"error_code": code, "message": "why"}, status=status)


@pytest.mark.parametrize(
    ("answer", "code", "retryable", "outcome"),
    [
        (error(400, "INVALID_PARAMETER_VALUE"), "INVALID_PARAMETER_VALUE", False, "refused"),
        (error(429, "REQUEST_LIMIT_EXCEEDED"), "REQUEST_LIMIT_EXCEEDED", True, "throttled"),
        (error(500, "INTERNAL_ERROR"), "INTERNAL_ERROR", True, "server_error"),
        (error(503, "TEMPORARILY_UNAVAILABLE"), "TEMPORARILY_UNAVAILABLE", True, "server_error"),
        (web.Response(status=401, text="log in"), "HTTP_401", False, "refused"),
        (web.Response(status=403, text="no"), "HTTP_403", False, "refused"),
        (
            web.Response(status=502, text="<html>gateway</html>"),
            "UNEXPECTED_ANSWER",
            True,
            "server_error",
        ),
        (web.Response(text="<html>hello</html>"), "UNEXPECTED_ANSWER", True, "unexpected"),
        (web.Response(status=404, text="nothing"), "UNEXPECTED_ANSWER", True, "unexpected"),
        (web.json_response([1]), "UNEXPECTED_ANSWER", True, "unexpected"),
        (
            web.Response(status=302, headers={"Location": "https://elsewhere/"}),
            "UNEXPECTED_ANSWER",
            True,
            "unexpected",
        ),
    ],
)
async def test_errors_by_answer(
    server: Server, uri: str, answer: web.Response, code: str, retryable: bool, outcome: str
) -> None:
    server.answer = answer
    calls: list[tuple[str, str]] = []
    client = MlflowApi(uri, Credentials(), lambda *call: calls.append(call[:2]))
    with pytest.raises(MlflowError) as raised:
        await client.get_run("r")
    await client.close()
    assert (raised.value.status, raised.value.code, raised.value.retryable) == (
        answer.status,
        code,
        retryable,
    )
    assert calls == [("runs/get", outcome)]


async def test_a_database_without_a_free_connection_is_a_problem_of_the_server(
    server: Server, uri: str
) -> None:
    """MLflow answers 400 to SQLAlchemy's time-out of the pool, as to what it does not take."""
    body = {"error_code": "BAD_REQUEST", "message": POOL_TIMEOUT}
    server.answer = web.json_response(body, status=400)
    calls: list[tuple[str, str]] = []
    client = MlflowApi(uri, Credentials(), lambda *call: calls.append(call[:2]))
    with pytest.raises(MlflowError, match="QueuePool limit of size 5") as raised:
        await client.get_run("r")
    await client.close()
    assert (raised.value.status, raised.value.retryable) == (503, True)
    assert calls == [("runs/get", "server_error")]


async def test_redirect_names_its_target(server: Server, uri: str) -> None:
    server.answer = web.Response(status=302, headers={"Location": "https://elsewhere/"})
    client = MlflowApi(uri, Credentials(), lambda *_: None)
    with pytest.raises(MlflowError, match=r"answered 302.*redirects to https://elsewhere/"):
        await client.get_run("r")
    await client.close()


async def test_no_answer_in_time(server: Server, uri: str) -> None:
    server.answer = None
    calls: list[tuple[str, str]] = []
    client = MlflowApi(uri, Credentials(), lambda *call: calls.append(call[:2]), timeout=0.05)
    with pytest.raises(MlflowError, match=r"no answer from .* within 0\.05 s") as raised:
        await client.get_run("r")
    await client.close()
    assert (raised.value.status, raised.value.retryable) == (None, True)
    assert calls == [("runs/get", "timeout")]


async def test_no_server(unused_tcp_port: int) -> None:
    calls: list[tuple[str, str]] = []
    uri = f"http://127.0.0.1:{unused_tcp_port}"
    client = MlflowApi(uri, Credentials(), lambda *call: calls.append(call[:2]))
    with pytest.raises(MlflowError, match=f"cannot reach {uri}") as raised:
        await client.get_run("r")
    await client.close()
    assert (raised.value.status, raised.value.code) == (None, "CONNECTION_FAILED")
    assert raised.value.retryable
    assert calls == [("runs/get", "connection")]


async def test_no_more_calls_at_once_than_agreed(server: Server, uri: str) -> None:
    client = MlflowApi(uri, Credentials(), lambda *_: None, concurrency=3)
    await asyncio.gather(*(client.get_run("r") for _ in range(30)))
    await client.close()
    assert len(server.logins) == 30
    assert server.most_at_once <= 3


@pytest.mark.parametrize(
    ("credentials", "header"),
    [
        (Credentials(), None),
        (Credentials(token="t0k3n"), "Bearer t0k3n"),
        (Credentials(username="ann", password="pä:ss"), "Basic YW5uOnDDpDpzcw=="),
        (Credentials(username="ann", password="p", token="t0k3n"), "Bearer t0k3n"),
    ],
)
async def test_login(
    server: Server, uri: str, credentials: Credentials, header: str | None
) -> None:
    client = MlflowApi(uri, credentials, lambda *_: None)
    await client.get_run("r")
    await client.close()
    assert server.logins == [header]


def test_secrets_are_not_shown() -> None:
    shown = repr(Credentials(username="ann", password="s3cret", token="t0k3n"))
    assert shown == "Credentials(username='ann', ca_path='')"


async def test_certificate_of_an_own_authority(server: Server, tmp_path: Path) -> None:
    certificate, context = own_certificate(tmp_path)
    listening = TestServer(server.application(), scheme="https")
    await listening.start_server(ssl=context)
    uri = str(listening.make_url("/"))
    try:
        trusting = MlflowApi(uri, Credentials(ca_path=str(certificate)), lambda *_: None)
        assert (await trusting.get_run("r")).run_id == "r"
        await trusting.close()
        strange = MlflowApi(uri, Credentials(), lambda *_: None)
        with pytest.raises(MlflowError, match="CERTIFICATE_VERIFY_FAILED"):
            await strange.get_run("r")
        await strange.close()
    finally:
        await listening.close()
