"""The errors that a request to the API server can end with."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

import aiohttp
import orjson

if TYPE_CHECKING:
    from collections.abc import Iterator


class ApiError(Exception):
    """A refused or failed request; status 0 when no answer came (time-out, connection).

    `reason` is the machine-readable reason of the server's Status object (such as
    "AlreadyExists" or "Invalid"), `retry_after` the seconds that the server asks to wait.
    """

    def __init__(
        self, status: int, reason: str, message: str, retry_after: float | None = None
    ) -> None:
        super().__init__(f"{status} {reason}: {message}")
        self.status = status
        self.reason = reason
        self.message = message
        self.retry_after = retry_after


class Conflict(ApiError):  # noqa: N818 - named for the HTTP status, as the API documents it
    """409: the name is taken, or the object has changed since it was read."""


class NotFound(ApiError):  # noqa: N818 - named for the HTTP status, as the API documents it
    """404: no such object."""


_ERRORS: dict[int, type[ApiError]] = {404: NotFound, 409: Conflict}


@contextmanager
def transport_errors() -> Iterator[None]:
    """Turn a time-out or a broken connection into ApiError with status 0."""
    try:
        yield
    except TimeoutError as error:
        raise ApiError(0, "Timeout", str(error) or "no answer in time") from error
    except (aiohttp.ClientError, OSError) as error:
        raise ApiError(0, "ConnectionError", str(error) or type(error).__name__) from error


def refusal(response: aiohttp.ClientResponse, body: bytes) -> ApiError:
    """Build the error for an answer of 400 or more from its Status object, if it has one."""
    try:
        status = orjson.loads(body)
    except orjson.JSONDecodeError:
        status = None
    if not isinstance(status, dict):
        # A proxy or a load balancer in between answers with text or HTML.
        status = {"message": body[:300].decode(errors="replace")}
    wait = response.headers.get("Retry-After") or (status.get("details") or {}).get(
        "retryAfterSeconds"
    )
    return _ERRORS.get(response.status, ApiError)(
        response.status,
        status.get("reason") or response.reason or "",
        status.get("message") or "",
        _seconds(wait),
    )


def _seconds(value: str | int | None) -> float | None:
    try:
        return None if value is None else float(value)
    except ValueError:  # an HTTP date, which the API server does not send
        return None
