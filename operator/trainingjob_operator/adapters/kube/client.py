"""The operations of the Kubernetes API that the operator uses, on plain dicts."""

from __future__ import annotations

from contextlib import aclosing
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from trainingjob_operator.adapters.kube.errors import ApiError, Conflict, NotFound
from trainingjob_operator.adapters.kube.resources import (
    EVENTS,
    LEASES,
    NAMESPACES,
    Resource,
)
from trainingjob_operator.adapters.kube.transport import OnRequest, Transport

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable

    import aiohttp

JsonObject = dict[str, Any]

GONE = 410


class Kube:
    """A client of one API server; every call has a time-out, none is retried here.

    All methods raise ApiError. `on_request` gets (verb, plural, status code, seconds) of every
    request, with code 0 for a request without an answer; for a watch the time until it opened.
    """

    def __init__(self, transport: Transport) -> None:
        self._transport = transport

    @classmethod
    async def connect(
        cls,
        *,
        on_request: OnRequest | None = None,
        proxy_of: Callable[[str], str | None] = lambda _: None,
    ) -> Kube:
        """Log in with the pod's service account, outside a pod with the file of KUBECONFIG.

        `proxy_of` returns the HTTP proxy for the server's URL, if the file names none.

        Raises:
            kubernetes.aio.config.ConfigException: neither is there.
        """
        return cls(await Transport.connect(on_request, proxy_of))

    @property
    def server(self) -> str:
        """The API server's address."""
        return self._transport.server

    def session(self, on_request: OnRequest) -> aiohttp.ClientSession:
        """Return a session with our login for another client; `on_request` as of the class."""
        return self._transport.session(on_request)

    async def close(self) -> None:
        """Close the connections."""
        await self._transport.close()

    async def create(
        self, resource: Resource, namespace: str, body: JsonObject, *, strict: bool = False
    ) -> JsonObject:
        """POST an object; raises Conflict when the name is taken.

        `strict` makes the API server refuse fields that it does not know; else it drops them.
        """
        query = {"fieldValidation": "Strict"} if strict else None
        path = resource.path(namespace)
        return await self._transport.call("create", resource, path, query=query, body=body)

    async def get(self, resource: Resource, namespace: str, name: str) -> JsonObject:
        """GET an object; raises NotFound."""
        return await self._transport.call("get", resource, resource.path(namespace, name))

    async def patch(
        self,
        resource: Resource,
        namespace: str,
        name: str,
        body: JsonObject | list[JsonObject],
        *,
        subresource: str = "",
        strategic: bool = False,
    ) -> JsonObject:
        """PATCH an object: a dict as JSON merge patch, a list as JSON patch.

        `strategic` makes it a strategic merge patch, which only Kubernetes' own resources take.
        A metadata.resourceVersion in a merge patch makes it conditional: raises Conflict when
        the object is at another version.
        """
        kind = "json-patch" if isinstance(body, list) else "merge-patch"
        kind = "strategic-merge-patch" if strategic else kind
        path = resource.path(namespace, name, subresource)
        return await self._transport.call(
            "patch", resource, path, body=body, content_type=f"application/{kind}+json"
        )

    async def delete(
        self,
        resource: Resource,
        namespace: str,
        name: str,
        *,
        uid: str | None = None,
        propagation: str = "Background",
    ) -> bool:
        """DELETE an object; False if there was none.

        Raises Conflict when the object of that name has another uid than the given one.
        """
        options: JsonObject = {"propagationPolicy": propagation}
        if uid is not None:
            options["preconditions"] = {"uid": uid}
        try:
            path = resource.path(namespace, name)
            await self._transport.call("delete", resource, path, body=options)
        except NotFound:
            return False
        return True

    async def list_page(
        self,
        resource: Resource,
        *,
        namespace: str | None,
        label_selector: str = "",
        field_selector: str = "",
        limit: int,
        continue_token: str | None,
        resource_version: str | None = None,
    ) -> JsonObject:
        """GET one page of a list, the whole List object; metadata.continue leads to the next."""
        query = {
            "labelSelector": label_selector,
            "fieldSelector": field_selector,
            "limit": str(limit),
            "continue": continue_token,
            "resourceVersion": resource_version,
        }
        return await self._transport.call("list", resource, resource.path(namespace), query=query)

    async def watch_lines(
        self,
        resource: Resource,
        *,
        namespace: str | None,
        label_selector: str,
        resource_version: str,
        timeout_seconds: int,
    ) -> AsyncGenerator[JsonObject, None]:
        """Yield the events of one watch, bookmarks included, until the server ends it.

        A version that the server no longer has (HTTP 410) is returned as an ERROR event, as within
        a stream.
        """
        query = {
            "labelSelector": label_selector,
            "resourceVersion": resource_version,
            "timeoutSeconds": str(timeout_seconds),
            "allowWatchBookmarks": "true",
            "watch": "true",
        }
        stream = self._transport.stream(resource, resource.path(namespace), query, timeout_seconds)
        try:
            async with aclosing(stream):
                async for event in stream:
                    yield event
        except ApiError as error:
            if error.status != GONE:
                raise
            yield {"type": "ERROR", "object": {"code": GONE, "message": error.message}}

    def source(
        self, resource: Resource, *, namespace: str | None = None, label_selector: str = ""
    ) -> BoundSource:
        """Return the list and watch of one resource, for an informer."""
        return BoundSource(self, resource, namespace, label_selector)

    async def namespace_uid(self, name: str) -> str:
        """The uid of a namespace, which no other one of any cluster has."""
        namespace = await self.get(NAMESPACES, "", name)
        return str(namespace["metadata"]["uid"])

    async def get_lease(self, namespace: str, name: str) -> JsonObject | None:
        """GET a Lease; None if there is none."""
        try:
            return await self.get(LEASES, namespace, name)
        except NotFound:
            return None

    async def create_lease(self, namespace: str, body: JsonObject) -> JsonObject | None:
        """POST a Lease; None if another was quicker."""
        try:
            return await self.create(LEASES, namespace, body)
        except Conflict:
            return None

    async def patch_lease(self, namespace: str, name: str, body: JsonObject) -> JsonObject | None:
        """PATCH a Lease at the body's resourceVersion; None if it has changed or is gone."""
        try:
            return await self.patch(LEASES, namespace, name, body)
        except (Conflict, NotFound):
            return None

    async def create_event(self, namespace: str, body: JsonObject) -> bool:
        """POST an Event; False if one of that name exists."""
        try:
            await self.create(EVENTS, namespace, body)
        except Conflict:
            return False
        return True

    async def repeat_event(self, namespace: str, name: str, last_observed: str) -> None:
        """Increment the count of an Event (events.k8s.io/v1, EventSeries).

        Raises NotFound if it no longer exists: the API server keeps Events for an hour.
        """
        found = await self.get(EVENTS, namespace, name)
        count = int((found.get("series") or {}).get("count") or 1) + 1
        series = {"count": count, "lastObservedTime": last_observed}
        await self.patch(EVENTS, namespace, name, {"series": series})


@dataclass(frozen=True, slots=True)
class BoundSource:
    """List and watch of one resource in one namespace (None: all) with one label selector."""

    kube: Kube
    resource: Resource
    namespace: str | None
    label_selector: str

    async def list_page(self, *, limit: int, continue_token: str | None) -> JsonObject:
        """GET one page of the newest state."""
        return await self.kube.list_page(
            self.resource,
            namespace=self.namespace,
            label_selector=self.label_selector,
            limit=limit,
            continue_token=continue_token,
            resource_version=None,
        )

    def watch_lines(
        self, *, resource_version: str, timeout_seconds: int
    ) -> AsyncGenerator[JsonObject, None]:
        """Yield the events after a version."""
        return self.kube.watch_lines(
            self.resource,
            namespace=self.namespace,
            label_selector=self.label_selector,
            resource_version=resource_version,
            timeout_seconds=timeout_seconds,
        )
