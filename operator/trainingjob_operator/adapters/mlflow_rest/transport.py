"""HTTP to one MLflow server: login, TLS, time-outs, errors, and how many calls at once."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Any

import aiohttp
import orjson

from trainingjob_operator.adapters.mlflow_rest.values import (
    CONNECTION_FAILED,
    Credentials,
    MlflowError,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

JsonObject = dict[str, Any]

# A server may answer with a whole stack trace; its first characters are for people to read.
MESSAGE_LIMIT = 1000


class Transport:
    """Calls endpoints below /api/2.0/mlflow/ and raises MlflowError for all that goes wrong."""

    def __init__(
        self,
        uri: str,
        credentials: Credentials,
        on_call: Callable[[str, str, float], None],
        concurrency: int,
        timeout: float,
        proxy: str | None = None,
    ) -> None:
        self._uri = uri
        self._headers = credentials.headers()
        self._ssl = credentials.ssl_context()
        self._on_call = on_call
        self._slots = asyncio.Semaphore(concurrency)
        self._timeout = timeout
        self._proxy = proxy
        self._session: aiohttp.ClientSession | None = None

    async def close(self) -> None:
        """Close the connections."""
        if self._session is not None:
            await self._session.close()
            self._session = None

    async def get(self, endpoint: str, params: Mapping[str, str]) -> JsonObject:
        """GET an endpoint and return the object that it answers."""
        return await self._call("GET", endpoint, params, None)

    async def post(self, endpoint: str, body: JsonObject) -> JsonObject:
        """POST an object to an endpoint and return the object that it answers."""
        return await self._call("POST", endpoint, {}, orjson.dumps(body))

    async def _call(
        self, method: str, endpoint: str, params: Mapping[str, str], body: bytes | None
    ) -> JsonObject:
        async with self._slots:
            started, outcome = time.monotonic(), "ok"
            try:
                return self._decode(*await self._exchange(method, endpoint, params, body))
            except MlflowError as error:
                outcome = _outcome(error)
                raise
            finally:
                self._on_call(endpoint, outcome, time.monotonic() - started)

    async def _exchange(
        self, method: str, endpoint: str, params: Mapping[str, str], body: bytes | None
    ) -> tuple[int, bytes]:
        """Return the status and the body of the answer, whatever they are."""
        try:
            async with self._connected().request(
                method,
                f"{self._uri}/api/2.0/mlflow/{endpoint}",
                params=params,
                data=body,
                proxy=self._proxy,
                # A redirected POST becomes a GET: better to say where the server really is.
                allow_redirects=False,
            ) as response:
                if 300 <= response.status < 400:
                    target = response.headers.get("Location", "")
                    return response.status, f"it redirects to {target}".encode()
                return response.status, await response.read()
        except TimeoutError as error:
            message = f"no answer from {self._uri} within {self._timeout:g} s"
            raise MlflowError(None, "TIMEOUT", message, retryable=True) from error
        except (aiohttp.ClientError, OSError) as error:
            message = f"cannot reach {self._uri}: {str(error) or type(error).__name__}"
            raise MlflowError(None, CONNECTION_FAILED, message, retryable=True) from error

    def _connected(self) -> aiohttp.ClientSession:
        if self._session is None:
            self._session = aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(ssl=self._ssl),
                headers={
                    **self._headers,
                    "Content-Type": "application/json",
                    "User-Agent": "trainingjob-operator",
                },
                timeout=aiohttp.ClientTimeout(total=self._timeout),
            )
        return self._session

    def _decode(self, status: int, answer: bytes) -> JsonObject:
        """Return the answer's JSON object; raises MlflowError for any other answer."""
        try:
            decoded = orjson.loads(answer)
        except orjson.JSONDecodeError:
            decoded = None
        if status == 200 and isinstance(decoded, dict):
            return decoded
        if isinstance(decoded, dict) and "error_code" in decoded:
            raise MlflowError(
                status,
                str(decoded["error_code"]),
                str(decoded.get("message", ""))[:MESSAGE_LIMIT],
                retryable=status == 429 or status >= 500,
            )
        text = answer[:200].decode(errors="replace").strip()
        if status in (401, 403):
            message = f"{self._uri} refuses the operator's credentials: {text}"
            raise MlflowError(status, f"HTTP_{status}", message, retryable=False)
        message = f"{self._uri} answered {status}, not as MLflow does: {text}"
        raise MlflowError(status, "UNEXPECTED_ANSWER", message, retryable=True)


def _outcome(error: MlflowError) -> str:
    """Return the class of an error, few enough to be a label."""
    if error.status is None:
        return "timeout" if error.code == "TIMEOUT" else "connection"
    if error.status == 429:
        return "throttled"
    if error.status >= 500:
        return "server_error"
    return "unexpected" if error.code == "UNEXPECTED_ANSWER" else "refused"
