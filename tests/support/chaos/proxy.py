"""A proxy between one operator and both of its servers, where the faults are made."""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field

import aiohttp
import orjson
from aiohttp import web

from tests.support.chaos.calls import (
    Answer,
    Call,
    Dropped,
    Kind,
    Server,
    api_sort,
    in_namespace,
    mlflow_sort,
)
from tests.support.chaos.upstream import Upstream

# What a server says that no longer has the changes since a watch's version.
EXPIRED = orjson.dumps(
    {
        "type": "ERROR",
        "object": {"kind": "Status", "code": 410, "reason": "Expired", "message": "a fault"},
    }
)
Forward = Callable[[], Awaitable[Answer]]
PASSED_ON = ("Content-Type", "Content-Encoding", "Retry-After")
NOT_PASSED_ON = ("host", "content-length", "transfer-encoding", "connection")


class Fault:
    """What happens to the calls; this one lets all of them through."""

    loses_answers = False

    async def answer(self, call: Call, forward: Forward) -> Answer:  # noqa: ARG002 - for others
        """Answer a call; raises Dropped to close the connection instead."""
        return await forward()

    def silences(self, call: Call) -> bool:  # noqa: ARG002 - for others
        """Whether a watch that is about to be opened never brings a byte."""
        return False


@dataclass(eq=False, slots=True)
class Stream:
    """An open watch."""

    call: Call
    request: web.BaseRequest
    response: web.StreamResponse
    mute: bool = False
    task: "asyncio.Task[None] | None" = None

    def abort(self) -> None:
        """Close it as a crashed server does."""
        if self.request.transport is not None:
            self.request.transport.abort()
        if self.task is not None:
            self.task.cancel()

    async def say(self, line: bytes) -> None:
        """Send a line, and end it."""
        with contextlib.suppress(ConnectionError):
            await self.response.write(line + b"\n")
        self.abort()


Handler = Callable[[web.BaseRequest], Awaitable[web.StreamResponse]]


def _who(request: web.BaseRequest) -> str:
    login: str = aiohttp.BasicAuth.decode(request.headers["Authorization"]).login
    return login


@dataclass(eq=False)
class Proxy:
    """An address of the API server for each replica, one of MLflow for all.

    A job keeps its MLflow server's address, so that all must know it by the same: there a replica
    is known by the name that it logs in with. `applied` are the writes that a server accepted.
    """

    upstream: Upstream
    namespace: str
    replicas: Sequence[str] = ("a",)
    fault: Fault = field(default_factory=Fault)
    writes: list[Call] = field(default_factory=list)
    applied: list[Call] = field(default_factory=list)
    streams: set[Stream] = field(default_factory=set)
    addresses: dict[tuple[str, Server], str] = field(default_factory=dict)
    _runners: list[web.ServerRunner] = field(default_factory=list)

    async def __aenter__(self) -> "Proxy":
        mlflow = await self._listen(self._handler(None, Server.MLFLOW))
        for replica in self.replicas:
            self.addresses[replica, Server.MLFLOW] = mlflow
            api = await self._listen(self._handler(replica, Server.API))
            self.addresses[replica, Server.API] = api
        return self

    async def _listen(self, handle: Handler) -> str:
        runner = web.ServerRunner(web.Server(handle, access_log=None), shutdown_timeout=0.1)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        self._runners.append(runner)
        return f"http://127.0.0.1:{runner.addresses[0][1]}"

    async def __aexit__(self, *_: object) -> None:
        self.break_streams()
        for runner in self._runners:
            await runner.cleanup()

    def break_streams(self, *replicas: str) -> None:
        """Close watches without a word, as when either end is gone; all, or those of replicas."""
        for stream in list(self.streams):
            if not replicas or stream.call.replica in replicas:
                stream.abort()

    def _handler(self, replica: str | None, server: Server) -> Handler:
        async def handle(request: web.BaseRequest) -> web.StreamResponse:
            call = await self._call(replica or _who(request), server, request)
            if call.kind is Kind.WRITE:
                self.writes.append(call)
            try:
                if call.kind is Kind.WATCH:
                    return await self._watch(call, request)
                answer = await self.fault.answer(call, lambda: self._forward(call))
            except (Dropped, aiohttp.ClientConnectionError):
                if request.transport is not None:
                    request.transport.abort()
                return web.Response(status=502)
            return _response(answer)

        return handle

    async def _call(self, replica: str, server: Server, request: web.BaseRequest) -> Call:
        method, path = request.method, request.rel_url.raw_path
        query = request.rel_url.raw_query_string
        body = await request.read() if request.can_read_body else b""
        if server is Server.API:
            path = in_namespace(path, self.namespace)
            kind, what = api_sort(method, path, query)
        else:
            kind, what = mlflow_sort(path, body)
        headers = {
            name: value
            for name, value in request.headers.items()
            if name.lower() not in NOT_PASSED_ON
        }
        return Call(replica, server, method, path, query, headers, body, kind, what)

    def _url(self, call: Call) -> str:
        base = self.upstream.api if call.server is Server.API else self.upstream.mlflow
        return f"{base}{call.path}?{call.query}" if call.query else f"{base}{call.path}"

    async def _forward(self, call: Call) -> Answer:
        mlflow = call.server is Server.MLFLOW
        session = self.upstream.mlflow_session if mlflow else self.upstream.session
        async with session.request(
            call.method, self._url(call), data=call.body or None, headers=call.headers
        ) as reply:
            body = await reply.read()
            if call.kind is Kind.WRITE and reply.status < 300:
                self.applied.append(call)
            return Answer(reply.status, body, _passed_on(reply))

    async def _watch(self, call: Call, request: web.BaseRequest) -> web.StreamResponse:
        """Hand a watch on as it comes; only whether it may be opened is asked of the fault."""
        may_open = Answer(200, b"")

        async def forward() -> Answer:
            return may_open

        answer = await self.fault.answer(call, forward)
        if answer is not may_open:
            return _response(answer)
        response = web.StreamResponse()
        async with self.upstream.session.get(self._url(call), headers=call.headers) as reply:
            response.set_status(reply.status)
            response.headers.update(_passed_on(reply))
            await response.prepare(request)
            # A task of its own: it can be cancelled, while the handler outlives its client.
            stream = Stream(call, request, response, mute=self.fault.silences(call))
            stream.task = asyncio.create_task(_pump(reply, response, stream))
            self.streams.add(stream)
            try:
                await asyncio.wait((stream.task,))
            finally:
                self.streams.discard(stream)
        return response


async def _pump(
    reply: aiohttp.ClientResponse, response: web.StreamResponse, stream: Stream
) -> None:
    with contextlib.suppress(ConnectionError, aiohttp.ClientError):
        async for chunk in reply.content.iter_any():
            if stream.mute:
                # Half open: no byte any more, and no end.
                await asyncio.Event().wait()
            await response.write(chunk)
        await response.write_eof()


def _response(answer: Answer) -> web.Response:
    return web.Response(status=answer.status, body=answer.body, headers=answer.headers)


def _passed_on(reply: aiohttp.ClientResponse) -> dict[str, str]:
    return {name: reply.headers[name] for name in PASSED_ON if name in reply.headers}
