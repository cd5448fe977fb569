"""The operator's own web server: /metrics, /healthz and /readyz."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import TYPE_CHECKING

from aiohttp import web
from prometheus_client.exposition import choose_encoder

if TYPE_CHECKING:
    from prometheus_client import CollectorRegistry

# Returns what is wrong, None if nothing is.
Check = Callable[[], str | None]


class HttpServer:
    """Serves the metrics of a registry and two sets of named checks.

    A check endpoint answers 200 "ok", or 503 with a line "name: problem" for each that fails.
    """

    def __init__(
        self,
        host: str,
        port: int,
        *,
        registry: CollectorRegistry,
        healthy: Mapping[str, Check],
        ready: Mapping[str, Check],
    ) -> None:
        self._host = host
        self._port = port
        self._registry = registry
        application = web.Application()
        application.router.add_get("/metrics", self._metrics)
        application.router.add_get("/healthz", _checks_handler(healthy))
        application.router.add_get("/readyz", _checks_handler(ready))
        self._runner = web.AppRunner(application, access_log=None)

    @property
    def port(self) -> int:
        """The port listened on, which differs from the asked one if that was 0."""
        port: int = self._runner.addresses[0][1]
        return port

    async def start(self) -> None:
        """Listen; raises OSError when the address is taken."""
        await self._runner.setup()
        await web.TCPSite(self._runner, self._host, self._port).start()

    async def stop(self) -> None:
        """Stop listening and close what is open."""
        await self._runner.cleanup()

    async def _metrics(self, request: web.Request) -> web.Response:
        encode, content_type = choose_encoder(request.headers.get("Accept", ""))
        return web.Response(body=encode(self._registry), headers={"Content-Type": content_type})


def _checks_handler(
    checks: Mapping[str, Check],
) -> Callable[[web.Request], Awaitable[web.StreamResponse]]:
    async def handle(_: web.Request) -> web.StreamResponse:
        results = {name: check() for name, check in checks.items()}
        problems = [f"{name}: {problem}" for name, problem in results.items() if problem]
        if problems:
            return web.Response(status=503, text="\n".join(problems) + "\n")
        return web.Response(text="ok\n")

    return handle
