"""HTTP to one MLflow server: login, TLS, time-outs, errors, and how many calls at once."""

from __future__ import annotations

import asyncio
import copy
import time
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, TypeVar

import aiohttp
import orjson

from trainingjob_operator.adapters.mlflow_rest.values import (
    CONNECTION_FAILED,
    UNEXPECTED_ANSWER,
    WORKSPACE_HEADER,
    Login,
    MlflowError,
    ShapeError,
)
from trainingjob_operator.core import border

if TYPE_CHECKING:
    import ssl
    from collections.abc import Callable, Mapping

JsonObject = dict[str, Any]
T = TypeVar("T")

# A server may answer with a whole stack trace; its first characters are for people to read.
MESSAGE_LIMIT = 1000
CODE_LIMIT = 100
# SQLAlchemy's name of a time-out of its pool of connections (sqlalche.me/e/20/3o7r), for which
# MLflow answers 400 BAD_REQUEST.
NO_CONNECTION_LEFT = "/3o7r)"
# A thousand runs with a hundred metrics each are a tenth of this.
BODY_LIMIT = 64 * 1024 * 1024
CHUNK = 64 * 1024
# Of MLflow's REST API.
VERSION = "2.0"


class Transport:
    """Calls endpoints below /api/VERSION/mlflow/ and raises MlflowError for every failure.

    `read` decodes the JSON object of an answer; it raises ShapeError if the answer is not MLflow's.
    """

    def __init__(
        self,
        uri: str,
        login: Login,
        on_call: Callable[[str, str, float], None],
        concurrency: int,
        timeout: float,
        proxy: str | None = None,
    ) -> None:
        self._uri = uri
        self._login = login
        self._workspace: dict[str, str] = {}
        self._on_call = on_call
        self._slots = asyncio.Semaphore(concurrency)
        self._timeout = timeout
        self._proxy = proxy
        self._connections = _Connections(login.ssl_context(), timeout)

    def in_workspace(self, workspace: str) -> Transport:
        """The same connections and slots, for calls about one workspace of the server."""
        other = copy.copy(self)
        other._workspace = {WORKSPACE_HEADER: workspace} if workspace else {}  # noqa: SLF001 - its own class's
        return other

    async def close(self) -> None:
        """Close the connections, also those of other workspaces."""
        await self._connections.close()

    async def get(
        self,
        endpoint: str,
        params: Mapping[str, str],
        read: Callable[[JsonObject], T],
        version: str = VERSION,
    ) -> T:
        """GET an endpoint, by default of REST API 2.0."""
        return await self._call(endpoint, "GET", f"{version}/mlflow/{endpoint}", params, None, read)

    async def post(self, endpoint: str, body: JsonObject, read: Callable[[JsonObject], T]) -> T:
        """POST an object to an endpoint."""
        path = f"{VERSION}/mlflow/{endpoint}"
        return await self._call(endpoint, "POST", path, {}, orjson.dumps(body), read)

    async def patch(
        self, endpoint: str, name: str, body: JsonObject, read: Callable[[JsonObject], T]
    ) -> T:
        """PATCH one object below an endpoint, which is counted without the object's name."""
        path = f"{VERSION}/mlflow/{endpoint}/{name}"
        return await self._call(endpoint, "PATCH", path, {}, orjson.dumps(body), read)

    async def _call(
        self,
        endpoint: str,
        method: str,
        path: str,
        params: Mapping[str, str],
        body: bytes | None,
        read: Callable[[JsonObject], T],
    ) -> T:
        async with self._slots:
            started, outcome = time.monotonic(), "ok"
            try:
                status, answer = await self._logged_in(method, path, params, body)
                return self._read(status, answer, read)
            except MlflowError as error:
                outcome = _outcome(error)
                raise
            finally:
                self._on_call(endpoint, outcome, time.monotonic() - started)

    def _read(self, status: int, answer: bytes, read: Callable[[JsonObject], T]) -> T:
        try:
            return read(self._decode(status, answer))
        except ShapeError as error:
            message = f"{self._uri} answered not as MLflow does: {error}"
            raise MlflowError(status, UNEXPECTED_ANSWER, message, retryable=True) from error

    async def _logged_in(
        self, method: str, path: str, params: Mapping[str, str], body: bytes | None
    ) -> tuple[int, bytes]:
        """Exchange with the present login, and again if it has been renewed meanwhile."""
        login = self._login.headers()
        status, answer = await self._exchange(method, path, params, body, login)
        if status != HTTPStatus.UNAUTHORIZED:
            return status, answer
        fresh = self._login.headers()
        if fresh == login:
            return status, answer
        return await self._exchange(method, path, params, body, fresh)

    async def _exchange(
        self,
        method: str,
        path: str,
        params: Mapping[str, str],
        body: bytes | None,
        login: Mapping[str, str],
    ) -> tuple[int, bytes]:
        """Return the status and the body of the answer, whatever they are."""
        try:
            async with self._connections.session().request(
                method,
                f"{self._uri}/api/{path}",
                headers={**login, **self._workspace},
                params=params,
                data=body,
                proxy=self._proxy,
                # A redirected POST becomes a GET: rather report where the server really is.
                allow_redirects=False,
            ) as response:
                if 300 <= response.status < 400:
                    target = response.headers.get("Location", "")
                    return response.status, f"it redirects to {target}".encode(errors="replace")
                return response.status, await self._body(response)
        except TimeoutError as error:
            message = f"no answer from {self._uri} within {self._timeout:g} s"
            raise MlflowError(None, "TIMEOUT", message, retryable=True) from error
        except (aiohttp.ClientError, OSError) as error:
            message = f"cannot reach {self._uri}: {str(error) or type(error).__name__}"
            raise MlflowError(None, CONNECTION_FAILED, message, retryable=True) from error

    async def _body(self, response: aiohttp.ClientResponse) -> bytes:
        body = bytearray()
        async for part in response.content.iter_chunked(CHUNK):
            body += part
            if len(body) > BODY_LIMIT:
                message = f"{self._uri} answered with more than {BODY_LIMIT} bytes"
                raise MlflowError(response.status, UNEXPECTED_ANSWER, message, retryable=True)
        return bytes(body)

    def _decode(self, status: int, answer: bytes) -> JsonObject:
        """Return the answer's JSON object; raises MlflowError for any other answer."""
        decoded = _json_object(answer)
        if status == 200 and decoded is not None:
            return decoded
        if decoded is not None and "error_code" in decoded:
            code = border.text(decoded["error_code"], CODE_LIMIT) or f"HTTP_{status}"
            message = border.text(decoded.get("message"), MESSAGE_LIMIT)
            if status == HTTPStatus.BAD_REQUEST and NO_CONNECTION_LEFT in message:
                # As MLflow answers where its database fails in another way.
                status = HTTPStatus.SERVICE_UNAVAILABLE
            raise MlflowError(status, code, message, retryable=status == 429 or status >= 500)
        text = border.text(answer[:200].decode(errors="replace"), MESSAGE_LIMIT).strip()
        if status in (401, 403):
            message = f"{self._uri} refuses the operator's credentials: {text}"
            raise MlflowError(status, f"HTTP_{status}", message, retryable=False)
        message = f"{self._uri} answered {status}, not as MLflow does: {text}"
        raise MlflowError(status, UNEXPECTED_ANSWER, message, retryable=True)


class _Connections:
    """One session, created at first use, since it needs the event loop."""

    def __init__(self, context: ssl.SSLContext, timeout: float) -> None:
        self._context = context
        self._timeout = aiohttp.ClientTimeout(total=timeout)
        self._session: aiohttp.ClientSession | None = None

    def session(self) -> aiohttp.ClientSession:
        if self._session is None:
            self._session = aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(ssl=self._context),
                headers={"Content-Type": "application/json", "User-Agent": "trainingjob-operator"},
                timeout=self._timeout,
            )
        return self._session

    async def close(self) -> None:
        if self._session is not None:
            await self._session.close()
            self._session = None


def _json_object(answer: bytes) -> JsonObject | None:
    """Decode fast if it is ordinary JSON; also accept NaN and halves of surrogate pairs."""
    try:
        decoded = orjson.loads(answer)
    except orjson.JSONDecodeError:
        return border.json_object(answer, BODY_LIMIT)
    return decoded if isinstance(decoded, dict) else None


def _outcome(error: MlflowError) -> str:
    """Return the class of an error, few enough to be a label."""
    if error.status is None:
        return "timeout" if error.code == "TIMEOUT" else "connection"
    if error.status == 429:
        return "throttled"
    if error.status >= 500:
        return "server_error"
    return "unexpected" if error.code == UNEXPECTED_ANSWER else "refused"
