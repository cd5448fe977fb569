"""The Kubernetes adapter against a scripted API server: requests, answers, and silence."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import aclosing
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer
from kubernetes.aio.client.api_client import ApiClient
from kubernetes.aio.client.configuration import Configuration
from trainingjob_operator.adapters.kube import (
    JOBS,
    PODS,
    TRAININGJOBS,
    ApiError,
    Conflict,
    Kube,
    NotFound,
    Resource,
)
from trainingjob_operator.adapters.kube import transport as transport_module
from trainingjob_operator.adapters.kube.transport import Transport

JsonObject = dict[str, Any]


class Api:
    """Answers every request with `answer` and keeps what was asked."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, str, str, str]] = []
        self.logins: list[str | None] = []
        self.answer: web.StreamResponse | None = web.json_response({})
        self.counted: list[tuple[str, str, int]] = []
        self.release = asyncio.Event()

    async def handle(self, request: web.Request) -> web.StreamResponse:
        body = await request.text()
        content_type = request.headers["Content-Type"] if body else ""
        self.asked.append((request.method, request.path_qs, content_type, body))
        self.logins.append(request.headers.get("Authorization"))
        if self.answer is None:
            await self.release.wait()
            return web.Response()
        if isinstance(self.answer, web.Response):  # which can be sent once only
            answer = self.answer
            return web.Response(status=answer.status, body=answer.body, headers=answer.headers)
        return self.answer

    def count(self, verb: str, plural: str, code: int, seconds: float) -> None:
        assert seconds >= 0
        self.counted.append((verb, plural, code))


@pytest.fixture
async def api() -> Api:
    return Api()


@pytest.fixture
async def client(api: Api) -> AsyncIterator[ApiClient]:
    application = web.Application()
    application.router.add_route("*", "/{path:.*}", api.handle)
    async with TestServer(application) as server:
        yield ApiClient(Configuration(host=str(server.make_url("")).rstrip("/")))


@pytest.fixture
async def kube(api: Api, client: ApiClient) -> AsyncIterator[Kube]:
    kube = Kube(Transport(client, api.count))
    yield kube
    api.release.set()
    await kube.close()


def status(code: int, reason: str, message: str, **details: Any) -> web.Response:
    body = {"kind": "Status", "reason": reason, "message": message, "details": details}
    return web.json_response(body, status=code)


@pytest.mark.parametrize(
    ("resource", "arguments", "path"),
    [
        (PODS, (None,), "/api/v1/pods"),
        (PODS, ("team", "a"), "/api/v1/namespaces/team/pods/a"),
        (JOBS, ("team",), "/apis/batch/v1/namespaces/team/jobs"),
        (
            TRAININGJOBS,
            ("team", "mnist", "status"),
            "/apis/trainingjob.dev/v1alpha1/namespaces/team/trainingjobs/mnist/status",
        ),
    ],
)
def test_paths(resource: Resource, arguments: tuple[Any, ...], path: str) -> None:
    assert resource.path(*arguments) == path


async def test_requests_as_the_server_sees_them(kube: Kube, api: Api) -> None:
    await kube.create(JOBS, "team", {"kind": "Job"})
    await kube.get(JOBS, "team", "a-0")
    await kube.patch(TRAININGJOBS, "team", "a", {"status": {"attempt": 1}}, subresource="status")
    await kube.patch(TRAININGJOBS, "team", "a", [{"op": "remove", "path": "/x"}])
    await kube.delete(JOBS, "team", "a-0", uid="u-1")
    await kube.list_page(
        PODS,
        namespace=None,
        label_selector="trainingjob.dev/uid",
        limit=500,
        continue_token="next/1",
        resource_version=None,
    )
    jobs = "/apis/batch/v1/namespaces/team/jobs"
    jobs_of_training = "/apis/trainingjob.dev/v1alpha1/namespaces/team/trainingjobs/a"
    assert api.asked == [
        ("POST", jobs, "application/json", '{"kind": "Job"}'),
        ("GET", f"{jobs}/a-0", "", ""),
        (
            "PATCH",
            f"{jobs_of_training}/status",
            "application/merge-patch+json",
            '{"status": {"attempt": 1}}',
        ),
        (
            "PATCH",
            jobs_of_training,
            "application/json-patch+json",
            '[{"op": "remove", "path": "/x"}]',
        ),
        (
            "DELETE",
            f"{jobs}/a-0",
            "application/json",
            '{"propagationPolicy": "Background", "preconditions": {"uid": "u-1"}}',
        ),
        (
            "GET",
            "/api/v1/pods?labelSelector=trainingjob.dev/uid&limit=500&continue=next/1",
            "",
            "",
        ),
    ]
    assert api.counted == [
        ("create", "jobs", 200),
        ("get", "jobs", 200),
        ("patch", "trainingjobs", 200),
        ("patch", "trainingjobs", 200),
        ("delete", "jobs", 200),
        ("list", "pods", 200),
    ]


@pytest.mark.parametrize(
    ("answer", "kind", "fields"),
    [
        (
            status(409, "AlreadyExists", "jobs a already exists"),
            Conflict,
            (409, "AlreadyExists", "jobs a already exists", None),
        ),
        (status(404, "NotFound", "no a"), NotFound, (404, "NotFound", "no a", None)),
        (
            status(422, "Invalid", "spec.image: Required value"),
            ApiError,
            (422, "Invalid", "spec.image: Required value", None),
        ),
        (
            status(429, "TooManyRequests", "slow down", retryAfterSeconds=3),
            ApiError,
            (429, "TooManyRequests", "slow down", 3.0),
        ),
        (
            web.Response(status=503, text="<html>down</html>", headers={"Retry-After": "7"}),
            ApiError,
            (503, "Service Unavailable", "<html>down</html>", 7.0),
        ),
        (
            web.Response(text="<html>login</html>"),
            ApiError,
            (200, "NotJSON", "<html>login</html>", None),
        ),
        (web.Response(text="[]"), ApiError, (200, "NotAnObject", "[]", None)),
    ],
)
async def test_refusals(
    kube: Kube, api: Api, answer: web.Response, kind: type[ApiError], fields: tuple[Any, ...]
) -> None:
    api.answer = answer
    with pytest.raises(ApiError) as raised:
        await kube.create(JOBS, "team", {"kind": "Job"})
    error = raised.value
    assert type(error) is kind
    assert (error.status, error.reason, error.message, error.retry_after) == fields
    assert api.counted == [("create", "jobs", error.status)]


async def test_deleting_what_is_not_there_is_no_error(kube: Kube, api: Api) -> None:
    api.answer = status(404, "NotFound", "no a")
    assert await kube.delete(JOBS, "team", "a-0") is False


async def test_server_that_does_not_answer(
    kube: Kube, api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(transport_module, "REQUEST_SECONDS", 0.05)
    api.answer = None
    with pytest.raises(ApiError) as raised:
        await kube.get(JOBS, "team", "a-0")
    assert (raised.value.status, raised.value.reason) == (0, "Timeout")
    assert api.counted == [("get", "jobs", 0)]


async def test_no_server(api: Api, unused_tcp_port: int) -> None:
    client = ApiClient(Configuration(host=f"http://127.0.0.1:{unused_tcp_port}"))
    kube = Kube(Transport(client, api.count))
    with pytest.raises(ApiError) as raised:
        await kube.get(JOBS, "team", "a-0")
    await kube.close()
    assert (raised.value.status, raised.value.reason) == (0, "ConnectionError")


class Stream(web.StreamResponse):
    """A watch that sends pieces of text, then ends or falls silent."""

    def __init__(self, *pieces: bytes, silence: asyncio.Event | None = None) -> None:
        super().__init__()
        self._pieces = pieces
        self._silence = silence

    async def prepare(self, request: web.BaseRequest) -> Any:
        writer = await super().prepare(request)
        for piece in self._pieces:
            await self.write(piece)
            await asyncio.sleep(0)
        if self._silence is not None:
            await self._silence.wait()
        return writer


async def watch(kube: Kube, timeout_seconds: int = 60) -> list[JsonObject]:
    stream = kube.watch_lines(
        PODS,
        namespace="team",
        label_selector="trainingjob.dev/uid",
        resource_version="7",
        timeout_seconds=timeout_seconds,
    )
    async with aclosing(stream):
        return [event async for event in stream]


async def test_watch_yields_each_line_however_it_is_cut_and_however_long(
    kube: Kube, api: Api
) -> None:
    long = b"x" * 5_000_000
    api.answer = Stream(b'{"a"', b':1}\n{"b":2}\n\n{"c":"', long, b'"}\n')
    assert await watch(kube) == [{"a": 1}, {"b": 2}, {"c": long.decode()}]
    assert api.asked[0][1] == (
        "/api/v1/namespaces/team/pods?labelSelector=trainingjob.dev/uid&resourceVersion=7"
        "&timeoutSeconds=60&allowWatchBookmarks=true&watch=true"
    )
    assert api.counted == [("watch", "pods", 200)]


async def test_watch_from_a_version_that_is_gone_yields_an_error_event(
    kube: Kube, api: Api
) -> None:
    api.answer = status(410, "Expired", "too old resource version")
    assert await watch(kube) == [
        {"type": "ERROR", "object": {"code": 410, "message": "too old resource version"}}
    ]


async def test_watch_on_which_the_server_falls_silent_ends(
    kube: Kube, api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(transport_module, "WATCH_GRACE_SECONDS", 0.05)
    api.answer = Stream(b'{"a":1}\n', silence=api.release)
    with pytest.raises(ApiError) as raised:
        await watch(kube, timeout_seconds=0)
    assert (raised.value.status, raised.value.reason) == (0, "Timeout")


async def test_another_client_gets_a_session_with_our_login_of_the_moment(
    kube: Kube, api: Api, client: ApiClient
) -> None:
    counted: list[tuple[str, str, int]] = []

    def count(verb: str, plural: str, code: int, seconds: float) -> None:
        assert seconds >= 0
        counted.append((verb, plural, code))

    async with kube.session(count) as session:
        for token, path in (
            ("Bearer one", "/apis/trainingjob.dev/v1alpha1/trainingjobs?watch=true"),
            ("Bearer two", "/apis/trainingjob.dev/v1alpha1/trainingjobs?limit=200"),
            ("Bearer two", "/apis/trainingjob.dev/v1alpha1/namespaces/ml/trainingjobs/mnist"),
            ("Bearer two", "/apis/trainingjob.dev/v1alpha1"),
            ("Bearer two", "/api"),
        ):
            client.configuration.api_key["BearerToken"] = token
            async with session.get(kube.server + path) as reply:
                assert reply.status == 200
            assert api.logins[-1] == token
    assert counted == [
        ("watch", "trainingjobs", 200),
        ("list", "trainingjobs", 200),
        ("get", "trainingjobs", 200),
        ("get", "discovery", 200),
        ("get", "discovery", 200),
    ]
