"""The operator's own web server: /metrics, /healthz and /readyz, on IPv4 and IPv6."""

from __future__ import annotations

import socket
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from aiohttp import web
from prometheus_client import CollectorRegistry
from prometheus_client.exposition import choose_encoder

# Returns what is wrong, None if nothing is.
Check = Callable[[], str | None]
BACKLOG = 128


@dataclass(frozen=True, slots=True)
class Content:
    """The metrics of a registry, and two sets of named checks."""

    registry: CollectorRegistry = field(default_factory=CollectorRegistry)
    healthy: Mapping[str, Check] = field(default_factory=dict)
    ready: Mapping[str, Check] = field(default_factory=lambda: {"operator": lambda: "is starting"})


class HttpServer:
    """Serves the content it was last given; at first it is healthy, but not ready.

    A check endpoint answers 200 "ok", or 503 with a line "name: problem" for each that fails.
    Without a host it listens on all addresses, of IPv6 where the machine has it.
    """

    def __init__(self, host: str, port: int) -> None:
        self._host = host
        self._port = port
        self._content = Content()
        application = web.Application()
        application.router.add_get("/metrics", self._metrics)
        application.router.add_get("/healthz", self._healthz)
        application.router.add_get("/readyz", self._readyz)
        self._runner = web.AppRunner(application, access_log=None)

    @property
    def port(self) -> int:
        """The port it listens on, which differs from the requested one if that was 0."""
        port: int = self._runner.addresses[0][1]
        return port

    def show(self, content: Content) -> None:
        """Serve this from now on."""
        self._content = content

    async def start(self) -> None:
        """Listen; raises OSError when the address is taken."""
        await self._runner.setup()
        if self._host:
            await web.TCPSite(self._runner, self._host, self._port).start()
        else:
            await web.SockSite(self._runner, _every_address(self._port)).start()

    async def stop(self) -> None:
        """Stop listening and close what is open."""
        await self._runner.cleanup()

    async def _metrics(self, request: web.Request) -> web.Response:
        encode, content_type = choose_encoder(request.headers.get("Accept", ""))
        body = encode(self._content.registry)
        return _last(web.Response(body=body, headers={"Content-Type": content_type}))

    async def _healthz(self, _: web.Request) -> web.Response:
        return _answer(self._content.healthy)

    async def _readyz(self, _: web.Request) -> web.Response:
        return _answer(self._content.ready)


def _every_address(port: int) -> socket.socket:
    """A socket for IPv6 that also accepts IPv4; one for IPv4 on a machine without IPv6."""
    if socket.has_dualstack_ipv6():
        try:
            return socket.create_server(
                ("", port), family=socket.AF_INET6, dualstack_ipv6=True, backlog=BACKLOG
            )
        except OSError:
            # IPv6 may be switched off (net.ipv6.conf.all.disable_ipv6). A port that is taken is
            # taken for IPv4, too, and raises below.
            pass
    return socket.create_server(("", port), backlog=BACKLOG)


def _answer(checks: Mapping[str, Check]) -> web.Response:
    results = {name: check() for name, check in checks.items()}
    problems = [f"{name}: {problem}" for name, problem in results.items() if problem]
    if problems:
        return _last(web.Response(status=503, text="\n".join(problems) + "\n"))
    return _last(web.Response(text="ok\n"))


def _last(response: web.Response) -> web.Response:
    """No connection is kept open: kopf, which may end and restart, would wait for its task."""
    response.force_close()
    return response
