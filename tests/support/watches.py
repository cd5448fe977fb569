"""A scripted API server for an informer, and what the informer made of it."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from trainingjob_operator.adapters.informer import Informer

Slim = tuple[str, str, str]  # name, owner, phase
JsonObject = dict[str, Any]


def pod(name: str, owner: str, phase: str, version: int = 0) -> JsonObject:
    return {
        "metadata": {
            "namespace": "team",
            "name": name,
            "labels": {"owner": owner},
            "resourceVersion": str(version),
        },
        "status": {"phase": phase},
    }


def decode(item: JsonObject) -> Slim:
    metadata = item["metadata"]
    return metadata["name"], metadata["labels"]["owner"], item["status"]["phase"]


def event(kind: str, item: JsonObject) -> JsonObject:
    return {"type": kind, "object": item}


def bookmark(version: int) -> JsonObject:
    return event("BOOKMARK", {"metadata": {"resourceVersion": str(version)}})


GONE = event("ERROR", {"code": 410, "message": "too old resource version"})
HANG = "hang"


class Script:
    """An API server that answers lists and watches one after the other, then hangs."""

    def __init__(self, *, lists: list[Any], watches: list[list[Any]]) -> None:
        self._lists = lists
        self._watches = watches
        self.asked: list[str] = []

    async def list_page(self, *, limit: int, continue_token: str | None) -> JsonObject:
        assert limit == 200
        self.asked.append(f"list {continue_token or 'first'}")
        answer = self._lists.pop(0)
        if isinstance(answer, Exception):
            raise answer
        page: JsonObject = answer
        return page

    async def watch_lines(
        self, *, resource_version: str, timeout_seconds: int
    ) -> AsyncGenerator[JsonObject, None]:
        assert timeout_seconds >= 1
        self.asked.append(f"watch {resource_version}")
        lines: list[Any] = self._watches.pop(0) if self._watches else [HANG]
        for line in lines:
            if line == HANG:
                await asyncio.Event().wait()
            if isinstance(line, Exception):
                raise line
            yield line


def page(version: int, *items: JsonObject, following: str = "") -> JsonObject:
    metadata = {"resourceVersion": str(version), "continue": following}
    return {"metadata": metadata, "items": list(items)}


class Watched:
    """An informer over a script, with what it reported."""

    def __init__(self, script: Script, watch_seconds: float = 60.0) -> None:
        self.script = script
        self.changes: list[str] = []
        self.errors: list[str] = []
        self.informer: Informer[Slim] = Informer(
            script,
            decode,
            lambda value: value[1],
            self.changes.append,
            watch_seconds=watch_seconds,
            on_error=self.errors.append,
        )


@asynccontextmanager
async def running(script: Script, watch_seconds: float = 60.0) -> AsyncIterator[Watched]:
    watched = Watched(script, watch_seconds)
    task = asyncio.create_task(watched.informer.run())
    try:
        yield watched
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
