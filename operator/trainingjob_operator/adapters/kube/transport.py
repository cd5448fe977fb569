"""Requests to the API server: transport and login by kubernetes.aio, decoding by orjson."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import aiohttp
import orjson
from kubernetes.aio.client.api_client import ApiClient
from kubernetes.aio.client.configuration import Configuration
from kubernetes.aio.config import ConfigException, load_incluster_config, load_kube_config

from trainingjob_operator.adapters.kube.errors import ApiError, refusal, transport_errors

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Mapping

    from trainingjob_operator.adapters.kube.resources import Resource

JsonObject = dict[str, Any]

# A connection without answers must cost seconds, not the minutes of TCP.
CONNECT_SECONDS = 5.0
REQUEST_SECONDS = 30.0
# The server ends a watch by itself after timeoutSeconds; silence longer than that is a dead peer.
WATCH_GRACE_SECONDS = 10.0

_METHODS = {"create": "POST", "patch": "PATCH", "delete": "DELETE"}

# (verb, plural, status code or 0, seconds) of a request; of a watch the time until it opened.
OnRequest = Callable[[str, str, int, float], None]


class Transport:
    """Sends one request at a time-out, counts it, and raises ApiError for all that goes wrong."""

    def __init__(
        self,
        client: ApiClient,
        on_request: OnRequest | None = None,
    ) -> None:
        self._client = client
        self._on_request = on_request

    @classmethod
    async def connect(
        cls,
        on_request: OnRequest | None,
        proxy_of: Callable[[str], str | None],
    ) -> Transport:
        """Log in with the pod's service account, outside a pod with the file of KUBECONFIG.

        `proxy_of` returns the HTTP proxy for the server's URL, if the file names none.

        Raises:
            kubernetes.aio.config.ConfigException: neither is there.
        """
        configuration = Configuration()
        try:
            load_incluster_config(client_configuration=configuration)
        except ConfigException:
            await load_kube_config(
                config_file=os.environ.get("KUBECONFIG"),
                client_configuration=configuration,
                persist_config=False,
            )
        configuration.proxy = configuration.proxy or proxy_of(configuration.host)
        configuration.client_session_kwargs = {"trust_env": False}
        client = ApiClient(configuration)
        client.user_agent = "trainingjob-operator"
        return cls(client, on_request)

    @property
    def server(self) -> str:
        """The server's address."""
        return str(self._client.configuration.host)

    def session(self, on_request: OnRequest) -> aiohttp.ClientSession:
        """Return a session that another client of the same server may use, with our login.

        Each request gets the current token, and is counted as ours are. The caller closes it.
        """
        rest = self._client.rest_client

        async def with_login(
            request: aiohttp.ClientRequest, send: aiohttp.ClientHandlerType
        ) -> aiohttp.ClientResponse:
            login = (await self._client.configuration.auth_settings()).get("BearerToken")
            if login is not None:
                request.headers["Authorization"] = login["value"]
            started, code = time.monotonic(), 0
            try:
                response = await send(request)
                code = response.status
                return response
            finally:
                verb, plural = _sort(request.method, request.url.raw_path, request.url.query)
                on_request(verb, plural, code, time.monotonic() - started)

        return aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=0, ssl=rest.ssl_context),
            proxy=rest.proxy,
            trust_env=False,
            middlewares=(with_login,),
        )

    async def close(self) -> None:
        """Close the connections."""
        await self._client.close()

    async def call(
        self,
        verb: str,
        resource: Resource,
        path: str,
        *,
        query: Mapping[str, str | None] | None = None,
        body: JsonObject | list[JsonObject] | None = None,
        content_type: str = "application/json",
    ) -> JsonObject:
        """Send a request and return the object that it answers."""
        limits = aiohttp.ClientTimeout(total=REQUEST_SECONDS, sock_connect=CONNECT_SECONDS)
        response = await self._open(
            verb, resource, path, limits, query=query, body=body, content_type=content_type
        )
        with transport_errors():
            return _decode(response.status, await response.read())

    async def stream(
        self, resource: Resource, path: str, query: Mapping[str, str | None], seconds: int
    ) -> AsyncGenerator[JsonObject, None]:
        """Yield the objects of a watch that the server ends after `seconds`."""
        limits = aiohttp.ClientTimeout(
            total=None, sock_connect=CONNECT_SECONDS, sock_read=seconds + WATCH_GRACE_SECONDS
        )
        response = await self._open("watch", resource, path, limits, query=query)
        try:
            with transport_errors():
                async for line in _lines(response):
                    yield orjson.loads(line)
        finally:
            response.close()

    async def _open(
        self,
        verb: str,
        resource: Resource,
        path: str,
        limits: aiohttp.ClientTimeout,
        *,
        query: Mapping[str, str | None] | None = None,
        body: JsonObject | list[JsonObject] | None = None,
        content_type: str = "application/json",
    ) -> aiohttp.ClientResponse:
        """Send a request and return a successful answer with its body unread."""
        started, code = time.monotonic(), 0
        try:
            with transport_errors():
                method, url, headers, _, form = await self._client.param_serialize(
                    _METHODS.get(verb, "GET"),
                    path,
                    query_params=[(key, value) for key, value in (query or {}).items() if value],
                    header_params={"Content-Type": content_type, "Accept": "application/json"},
                    auth_settings=["BearerToken"],
                )
                # Without the body, which the client would copy in search of its own types.
                answer = await self._client.call_api(
                    method,
                    url,
                    headers,
                    body,
                    form,
                    _request_timeout=limits,
                    _preload_content=False,
                )
                response: aiohttp.ClientResponse = answer.response
                code = response.status
                if code >= 400:
                    raise refusal(response, await response.read())
                return response
        finally:
            if self._on_request is not None:
                self._on_request(verb, resource.plural, code, time.monotonic() - started)


def _sort(method: str, path: str, query: Mapping[str, str]) -> tuple[str, str]:
    """Verb and plural of another client's request; what the API consists of is "discovery"."""
    core, *parts = path.strip("/").split("/")
    parts = parts[1 if core == "api" else 2 :]
    if parts[:1] == ["namespaces"] and len(parts) > 2:
        parts = parts[2:]
    verb = method.lower()
    if verb == "get" and len(parts) == 1:
        verb = "watch" if query.get("watch") == "true" else "list"
    return verb, parts[0] if parts else "discovery"


def _decode(status: int, body: bytes) -> JsonObject:
    try:
        decoded = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise ApiError(status, "NotJSON", body[:300].decode(errors="replace")) from error
    if not isinstance(decoded, dict):
        raise ApiError(status, "NotAnObject", body[:300].decode(errors="replace"))
    return decoded


async def _lines(response: aiohttp.ClientResponse) -> AsyncGenerator[bytes, None]:
    """Yield the lines of a stream; unlike readline() without a limit on their length."""
    rest = b""
    async for chunk in response.content.iter_any():
        if b"\n" not in chunk:
            rest += chunk
            continue
        *lines, rest = (rest + chunk).split(b"\n")
        for line in lines:
            if line:
                yield line
