"""A TrainingJob that this release cannot read: what is written about it, and how it goes."""

import asyncio
import json
from collections.abc import AsyncGenerator, AsyncIterator
from datetime import timedelta
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer
from kubernetes.aio.client.api_client import ApiClient
from kubernetes.aio.client.configuration import Configuration
from trainingjob_operator.adapters.informer import Informer
from trainingjob_operator.adapters.kube import Kube
from trainingjob_operator.adapters.kube.transport import Transport
from trainingjob_operator.api import ObjectMeta
from trainingjob_operator.cluster.caches import Caches
from trainingjob_operator.cluster.trainingjobs import TrainingJobCache, Unreadable
from trainingjob_operator.cluster.unreadable import RELEASE_AFTER, UnreadableJobs
from trainingjob_operator.core.decode import job_view, pod_view, service_view
from trainingjob_operator.core.observe import JobView, PodView, ServiceView, owner_key

from tests.support.jobs import at

JsonObject = dict[str, Any]
PATH = "/apis/trainingjob.dev/v1alpha1/namespaces/ml/trainingjobs/mnist"
RUNNING = {"type": "Running", "status": "True", "novelty": "kept"}
TOLD = {
    "type": "Readable",
    "status": "False",
    "reason": "UnreadableField",
    "message": "this release of the operator cannot read status.state: unknown. It leaves the job, "
    "its pods and its run alone until a release runs that can: see which one wrote the field",
    "observedGeneration": 3,
    "lastTransitionTime": "2026-01-01T00:01:00Z",
}
LABELS = {"trainingjob.dev/name": "mnist", "trainingjob.dev/uid": "u-1"}
CHILD = {
    "metadata": {
        "namespace": "ml",
        "name": "mnist-1",
        "uid": "j-1",
        "resourceVersion": "7",
        "creationTimestamp": "2026-01-01T00:00:00Z",
        "labels": {**LABELS, "trainingjob.dev/attempt": "1"},
    }
}


class Server:
    """An API server that takes every write, and keeps it."""

    def __init__(self) -> None:
        self.writes: list[tuple[str, str, JsonObject]] = []

    async def handle(self, request: web.Request) -> web.Response:
        self.writes.append((request.method, request.path, json.loads(await request.text())))
        return web.json_response({})


class Lists:
    """Lists the same objects, and has no news of them."""

    def __init__(self, *items: JsonObject) -> None:
        self._items = items

    async def list_page(self, **_: Any) -> JsonObject:
        return {"metadata": {"resourceVersion": "9"}, "items": list(self._items)}

    async def watch_lines(self, **_: Any) -> AsyncGenerator[JsonObject, None]:
        await asyncio.Event().wait()
        yield {}


@pytest.fixture
async def server() -> Server:
    return Server()


@pytest.fixture
async def kube(server: Server) -> AsyncIterator[Kube]:
    application = web.Application()
    application.router.add_route("*", "/{path:.*}", server.handle)
    async with TestServer(application) as started:
        client = ApiClient(Configuration(host=str(started.make_url("")).rstrip("/")))
        kube = Kube(Transport(client))
        yield kube
        await kube.close()


async def caches_with(*jobs: JsonObject) -> Caches:
    """Caches that know these child Jobs."""
    children: Informer[JobView] = Informer(Lists(*jobs), job_view, owner_key, lambda _: None)
    pods: Informer[PodView] = Informer(Lists(), pod_view, owner_key, lambda _: None)
    services: Informer[ServiceView] = Informer(Lists(), service_view, owner_key, lambda _: None)
    task = asyncio.create_task(children.run())
    await children.synced.wait()
    task.cancel()
    trainingjobs = TrainingJobCache(Lists(), lambda _: None, lambda _: None)
    return Caches(trainingjobs, children, pods, services)


def unreadable(*conditions: JsonObject, **metadata: Any) -> Unreadable:
    known = {"name": "mnist", "namespace": "ml", "uid": "u-1", "generation": 3}
    found = ObjectMeta.model_validate({**known, "resourceVersion": "5", **metadata})
    return Unreadable(found, "status.state: unknown", conditions)


@pytest.mark.parametrize(
    ("stored", "written"),
    [
        ((RUNNING,), [RUNNING, TOLD]),
        # Once is enough.
        ((TOLD, RUNNING), None),
        # Another field: the condition is as old as it was.
        (
            ({**TOLD, "message": "m", "lastTransitionTime": "2026-01-01T00:00:09Z"},),
            [{**TOLD, "lastTransitionTime": "2026-01-01T00:00:09Z"}],
        ),
        # It was readable in between.
        (({**TOLD, "status": "True", "lastTransitionTime": "2026-01-01T00:00:09Z"},), [TOLD]),
    ],
)
async def test_it_gets_a_condition_beside_those_that_it_has(
    kube: Kube, server: Server, stored: tuple[JsonObject, ...], written: list[JsonObject] | None
) -> None:
    jobs = UnreadableJobs(kube, await caches_with(CHILD), lambda: at(60))
    assert await jobs.reconcile(unreadable(*stored)) == ("unreadable", None)
    body = {"metadata": {"resourceVersion": "5"}, "status": {"conditions": written}}
    assert server.writes == ([("PATCH", f"{PATH}/status", body)] if written else [])


DELETED = {
    "deletionTimestamp": "2026-01-01T00:00:30Z",
    "finalizers": ["trainingjob.dev/mlflow-run", "somebody/else"],
}
RELEASE = (
    "PATCH",
    PATH,
    {"metadata": {"finalizers": ["somebody/else"], "resourceVersion": "5"}},
)


async def test_its_deletion_ends_its_pods_first(kube: Kube, server: Server) -> None:
    now = at(60)
    jobs = UnreadableJobs(kube, await caches_with(CHILD), lambda: now)
    assert await jobs.reconcile(unreadable(**DELETED)) == ("unreadable", 5.0)
    [(method, path, options)] = server.writes
    assert (method, path) == ("DELETE", "/apis/batch/v1/namespaces/ml/jobs/mnist-1")
    assert (options["preconditions"], options["propagationPolicy"]) == (
        {"uid": "j-1"},
        "Foreground",
    )
    # Pods that do not end hold it up for so long and no longer.
    server.writes.clear()
    now = at(30) + RELEASE_AFTER - timedelta(seconds=1)
    assert await jobs.reconcile(unreadable(**DELETED)) == ("unreadable", 5.0)
    assert server.writes == []
    now = at(30) + RELEASE_AFTER
    assert await jobs.reconcile(unreadable(**DELETED)) == ("changed", None)
    assert server.writes == [RELEASE]


async def test_one_without_pods_goes_at_once_and_without_our_finalizer_by_itself(
    kube: Kube, server: Server
) -> None:
    jobs = UnreadableJobs(kube, await caches_with(), lambda: at(60))
    assert await jobs.reconcile(unreadable(**DELETED)) == ("changed", None)
    assert server.writes == [RELEASE]
    server.writes.clear()
    ours_is_gone = {**DELETED, "finalizers": ["somebody/else"]}
    assert await jobs.reconcile(unreadable(**ours_is_gone)) == ("unreadable", None)
    assert server.writes == []
