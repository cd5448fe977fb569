"""An HTTP server at the edge: it answers by a script, or hands on to a real server."""

import http.client
import json
import ssl
import threading
import time
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

if TYPE_CHECKING:
    from collections.abc import Callable


# What MLflow answers with 400 BAD_REQUEST where all connections to its database are in use.
POOL_TIMEOUT = (
    "QueuePool limit of size 5 overflow 10 reached, connection timed out, timeout 30.00 "
    "(Background on this error at: https://sqlalche.me/e/20/3o7r)"
)


@dataclass(frozen=True)
class Request:
    """What a client asked."""

    method: str
    path: str
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        """The body as JSON."""
        return json.loads(self.body or b"null")


@dataclass(frozen=True)
class Answer:
    """What it gets."""

    status: int = 200
    body: bytes = b"{}"
    headers: dict[str, str] = field(default_factory=dict)

    @classmethod
    def error(cls, status: int, code: str, message: str = "why", **headers: str) -> "Answer":
        """An error as MLflow spells it."""
        body = json.dumps({"error_code": code, "message": message}).encode()
        return cls(status, body, {name.replace("_", "-"): text for name, text in headers.items()})


class FaultyServer:
    """Answers what `script` returns, which gets the request and what hands it on."""

    def __init__(
        self,
        script: "Callable[[Request, Callable[[], Answer]], Answer]",
        upstream: str | None = None,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        self.script = script
        self.requests: list[tuple[float, Request]] = []
        self._upstream = upstream
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self._server.daemon_threads = True
        scheme = "http"
        if tls is not None:
            scheme = "https"
            self._server.socket = tls.wrap_socket(self._server.socket, server_side=True)
        self.uri = f"{scheme}://127.0.0.1:{self._server.server_port}"

    def __enter__(self) -> "FaultyServer":
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._server.shutdown()
        self._server.server_close()

    @property
    def batches(self) -> list[Any]:
        """Bodies of runs/log-batch so far."""
        return [request.json for _, request in self.requests if request.path.endswith("log-batch")]

    def _forward(self, request: Request) -> Answer:
        assert self._upstream is not None
        address = urlsplit(self._upstream)
        connection = http.client.HTTPConnection(address.hostname or "", address.port, timeout=60)
        headers = {**request.headers, "Host": address.netloc, "Connection": "close"}
        try:
            connection.request(request.method, request.path, request.body or None, headers)
            reply = connection.getresponse()
            body = reply.read()
            return Answer(reply.status, body, {"Content-Type": reply.getheader("Content-Type", "")})
        finally:
            connection.close()

    def _answer(self, request: Request) -> Answer:
        self.requests.append((time.monotonic(), request))
        return self.script(request, lambda: self._forward(request))

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        answer = self._answer

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def handle_one(self) -> None:
                length = int(self.headers.get("Content-Length", 0))
                request = Request(
                    self.command, self.path, dict(self.headers), self.rfile.read(length)
                )
                reply = answer(request)
                try:
                    self.send_response(reply.status)
                    for name, value in reply.headers.items():
                        self.send_header(name, value)
                    if "Content-Length" not in reply.headers:
                        self.send_header("Content-Length", str(len(reply.body)))
                    self.end_headers()
                    if self.command != "HEAD":
                        self.wfile.write(reply.body)
                    # A script may announce more than it sends: the transfer breaks off.
                    self.close_connection = "Content-Length" in reply.headers
                except ConnectionError:
                    self.close_connection = True  # the client has given up

            # The names that the base class looks for.
            do_GET = do_HEAD = do_POST = do_PUT = do_PATCH = do_DELETE = handle_one  # noqa: N815

            def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - as in the base class
                """Keep the test's output free of a line for each request."""

        return Handler
