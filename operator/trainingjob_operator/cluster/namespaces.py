"""The namespaces that an installation watches: each by itself, presented as one."""

import asyncio
import logging
from collections.abc import Callable, Collection, Mapping, Sequence
from http import HTTPStatus
from typing import Any, Generic, Protocol, TypeVar

from trainingjob_operator.adapters.informer import Informer
from trainingjob_operator.adapters.kube import (
    NAMESPACES,
    TRAININGJOBS,
    ApiError,
    NotFound,
    Resource,
)
from trainingjob_operator.cluster.trainingjobs import Lister

logger = logging.getLogger(__name__)

T = TypeVar("T")
JsonObject = dict[str, Any]

# Seconds between two checks of which namespaces may be read.
ACCESS_SECONDS = 30.0


class Objects(Protocol):
    """What reading an object needs of the Kubernetes API."""

    async def get(self, resource: Resource, namespace: str, name: str) -> JsonObject:
        """GET an object; raises NotFound."""


async def goes(kube: Objects, namespace: str) -> bool:
    """Whether a namespace is being deleted, or gone, as the API server has it now."""
    try:
        found = await kube.get(NAMESPACES, "", namespace)
    except NotFound:
        return True
    return "deletionTimestamp" in found["metadata"]


class Lists(Protocol):
    """What listing needs of the Kubernetes API; raises ApiError."""

    async def list_page(
        self, resource: Resource, *, namespace: str | None, limit: int, continue_token: str | None
    ) -> JsonObject:
        """Return one page as the API's List object."""


async def readable(kube: Lists, namespaces: Collection[str]) -> tuple[str, ...]:
    """The namespaces among them whose TrainingJobs may be listed.

    Raises:
        ApiError: the API server does not answer that, as in an outage.
    """
    answers = await asyncio.gather(*(_may_be_listed(kube, one) for one in namespaces))
    return tuple(one for one, may in zip(namespaces, answers, strict=True) if may)


async def _may_be_listed(kube: Lists, namespace: str) -> bool:
    try:
        await kube.list_page(TRAININGJOBS, namespace=namespace, limit=1, continue_token=None)
    except ApiError as error:
        if error.status == HTTPStatus.FORBIDDEN:
            return False
        raise
    return True


async def watch_access(
    kube: Lists, wanted: tuple[str, ...], served: tuple[str, ...], on_change: Callable[[], None]
) -> None:
    """Call `on_change` when the readable namespaces of `wanted` differ from those `served`.

    A namespace, or its Role, was deleted or created; a single refusal may be accidental. kopf gives
    up when it may no longer watch a namespace, so it must start again without that namespace.
    """
    before = served
    while True:
        await asyncio.sleep(ACCESS_SECONDS)
        try:
            now = await readable(kube, wanted)
        except ApiError as error:
            logger.info("cannot check which namespaces are readable: %s", error)
            continue
        if now and now == before != served:
            on_change()
        before = now


class NamespaceInformers(Generic[T]):
    """The informers of one resource, by their namespace; "" is that of all namespaces."""

    def __init__(self, parts: Mapping[str, Informer[T]]) -> None:
        self.parts = parts

    def get(self, namespace: str, name: str) -> T | None:
        """Return the value of one object, None if there is none."""
        part = self.parts.get(namespace) or self.parts.get("")
        return None if part is None else part.get(namespace, name)

    def by_index(self, key: str) -> tuple[T, ...]:
        """Return the values of one owner, in no particular order."""
        return tuple(value for part in self.parts.values() for value in part.by_index(key))

    def items(self) -> tuple[T, ...]:
        """Return all values."""
        return tuple(value for part in self.parts.values() for value in part.items())

    def age(self) -> float:
        """Return the seconds since the server last sent anything, of the oldest part."""
        return max(part.age() for part in self.parts.values())

    async def refresh(self, seconds: float) -> None:
        """Wait for lists that are not older than `seconds`."""
        await asyncio.gather(*(part.refresh(seconds) for part in self.parts.values()))

    async def run(self) -> None:
        """List and watch until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            for part in self.parts.values():
                tasks.create_task(part.run())


class NamespaceLister:
    """Lists one resource in several namespaces, one after the other, as a single list.

    Its version is that of the first list: a later version in another namespace counts as new.
    """

    def __init__(self, listers: Sequence[Lister]) -> None:
        self._listers = listers

    async def list_page(self, *, limit: int, continue_token: str | None) -> JsonObject:
        """Return one page as the API's List object; its token leads on through all namespaces."""
        number, version, token = (continue_token or "0  ").split(" ", 2)
        index = int(number)
        page = await self._listers[index].list_page(limit=limit, continue_token=token or None)
        version = version or page["metadata"]["resourceVersion"]
        token = page["metadata"].get("continue") or ""
        following = index if token else index + 1
        more = f"{following} {version} {token}" if following < len(self._listers) else ""
        return {**page, "metadata": {"resourceVersion": version, "continue": more}}
