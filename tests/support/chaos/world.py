"""What is really in the cluster, by watches of its own; the faults do not reach it."""

import asyncio
from collections import defaultdict
from collections.abc import Callable
from http import HTTPStatus
from typing import TypeVar
from urllib.parse import urlencode

from tests.support.chaos.upstream import CORE, JOBS, TRAININGJOBS, Json, Refused, Upstream
from tests.support.waiting import PATIENCE

T = TypeVar("T")

OURS = {"labelSelector": "app.kubernetes.io/managed-by=trainingjob-operator"}
RESOURCES: dict[str, tuple[str, dict[str, str]]] = {
    "trainingjobs": (TRAININGJOBS, {}),
    "jobs": (JOBS, OURS),
    "pods": (CORE, OURS),
    "services": (CORE, OURS),
}
Objects = dict[str, Json]
# Told of every change: the resource, the object before (None if new) and now (None if gone).
OnChange = Callable[[str, Json | None, Json | None], None]


class NotReached(Exception):  # noqa: N818 - says what happened, not that it is an error
    """Something did not come to be in time."""


class World:
    """All objects of TrainingJobs by namespace, kept by watches."""

    def __init__(self, upstream: Upstream) -> None:
        self._upstream = upstream
        self._objects: defaultdict[tuple[str, str], Objects] = defaultdict(dict)
        self._changed: defaultdict[str, asyncio.Event] = defaultdict(asyncio.Event)
        self._listeners: dict[str, OnChange] = {}
        self._tasks: list[asyncio.Task[None]] = []

    async def __aenter__(self) -> "World":
        self._tasks = [asyncio.create_task(self._follow(plural)) for plural in RESOURCES]
        for task in self._tasks:
            task.add_done_callback(self._wake_all)
        return self

    async def __aexit__(self, *_: object) -> None:
        for task in self._tasks:
            task.cancel()
        results = await asyncio.gather(*self._tasks, return_exceptions=True)
        for result in results:
            if isinstance(result, Exception):
                raise result

    def objects(self, namespace: str, plural: str) -> Objects:
        """The objects of one resource by name."""
        return self._objects[namespace, plural]

    def listen(self, namespace: str, listener: OnChange) -> None:
        """Tell of every change in a namespace."""
        self._listeners[namespace] = listener

    async def until(
        self, namespace: str, what: str, condition: Callable[[], T | None], seconds: float
    ) -> T:
        """The first truthy value of a condition on a namespace; raises NotReached."""
        changed = self._changed[namespace]
        loop = asyncio.get_running_loop()
        seconds *= PATIENCE
        deadline = loop.time() + seconds
        while not (value := condition()):
            self._raise_what_ended_a_watch()
            left = deadline - loop.time()
            if left <= 0:
                raise NotReached(f"not within {seconds:g} s: {what}")
            changed.clear()
            try:
                await asyncio.wait_for(changed.wait(), left)
            except TimeoutError:
                continue
        return value

    def _wake_all(self, _: "asyncio.Task[None]") -> None:
        for changed in self._changed.values():
            changed.set()

    def _raise_what_ended_a_watch(self) -> None:
        """Nothing more would be seen: better that than to wait for it."""
        for task in self._tasks:
            if task.done():
                task.result()

    async def _follow(self, plural: str) -> None:
        root, selector = RESOURCES[plural]
        path = f"{root}/{plural}"
        while True:
            try:
                version = await self._list(plural, f"{path}?{urlencode(selector)}")
            except Refused as refused:
                if refused.status != HTTPStatus.TOO_MANY_REQUESTS:
                    raise
                await asyncio.sleep(1)
                continue
            query = {"resourceVersion": version, "timeoutSeconds": "1800", **selector}
            async for event in self._upstream.lines(path, **query):
                if event["type"] == "ERROR":
                    break
                self._put(plural, event["object"], gone=event["type"] == "DELETED")

    async def _list(self, plural: str, path: str) -> str:
        found = await self._upstream.call("GET", path)
        there = {(one["metadata"]["namespace"], one["metadata"]["name"]) for one in found["items"]}
        for (namespace, kind), objects in list(self._objects.items()):
            if kind == plural:
                for name in [name for name in objects if (namespace, name) not in there]:
                    self._put(plural, objects[name], gone=True)
        for one in found["items"]:
            self._put(plural, one, gone=False)
        return str(found["metadata"]["resourceVersion"])

    def _put(self, plural: str, item: Json, *, gone: bool) -> None:
        namespace, name = item["metadata"]["namespace"], item["metadata"]["name"]
        objects = self._objects[namespace, plural]
        before = objects.pop(name, None)
        if not gone:
            objects[name] = item
        listener = self._listeners.get(namespace)
        if listener is not None:
            listener(plural, before, None if gone else item)
        self._changed[namespace].set()
