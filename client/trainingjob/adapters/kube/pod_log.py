"""The log of a pod, as a stream of lines."""

from collections.abc import Iterable, Iterator
from http import HTTPStatus
from typing import Any

from kubernetes.client.exceptions import ApiException

from trainingjob.adapters.kube.connection import CALL_SECONDS, Connection
from trainingjob.adapters.kube.streams import Streams
from trainingjob.core import wire

# A container that has not begun has no log: the kubelet's answer is a bad request.
_NONE_YET = (HTTPStatus.NOT_FOUND, HTTPStatus.BAD_REQUEST)


def read_log(
    connection: Connection, pod: str, since: str | None, follow: Streams | None
) -> Iterator[str]:
    """Lines with their times. Not by the generated call: that one has no `sinceTime`.

    Raises:
        ApiException: the API server answers anything else than the log, or that there is none.
        urllib3.exceptions.HTTPError: the connection broke.
    """
    query = [("container", wire.CONTAINER_NAME), ("timestamps", "true")]
    if since:
        query.append(("sinceTime", since))
    if follow is not None:
        query.append(("follow", "true"))
    request = connection.api.param_serialize(
        method="GET",
        resource_path="/api/v1/namespaces/{namespace}/pods/{name}/log",
        path_params={"namespace": connection.namespace, "name": pod},
        query_params=query,
        header_params={"Accept": "text/plain, application/json"},
        auth_settings=["BearerToken"],
    )
    # A program may be silent for as long as it likes.
    timeout = CALL_SECONDS if follow is None else (CALL_SECONDS, None)
    reply = connection.api.call_api(*request, _request_timeout=timeout)
    if reply.status in _NONE_YET:
        reply.read()
        return
    if reply.status != HTTPStatus.OK:
        body = reply.read().decode(errors="replace")
        raise ApiException(status=reply.status, reason=reply.reason, body=body)
    with (follow or Streams()).reading(reply.response.shutdown):
        yield from lines(_chunks(reply))


def lines(chunks: Iterable[bytes]) -> Iterator[str]:
    """The lines of a stream of bytes, which may be cut anywhere; the last may have no end."""
    rest = b""
    for chunk in chunks:
        *whole, rest = (rest + chunk).split(b"\n")
        yield from (line.decode(errors="replace") for line in whole)
    if rest:
        yield rest.decode(errors="replace")


def _chunks(reply: Any) -> Iterator[bytes]:
    try:
        yield from reply.response.stream()
    finally:
        reply.response.close()
