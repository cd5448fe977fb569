"""A TrainingJob that this release cannot read: what is written about it."""

import json
from collections.abc import AsyncIterator
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer
from kubernetes.aio.client.api_client import ApiClient
from kubernetes.aio.client.configuration import Configuration
from trainingjob_operator.adapters.kube import Kube
from trainingjob_operator.adapters.kube.transport import Transport
from trainingjob_operator.api import ObjectMeta
from trainingjob_operator.cluster.trainingjobs import Unreadable
from trainingjob_operator.cluster.unreadable import UnreadableJobs

from tests.support.jobs import at

JsonObject = dict[str, Any]
PATH = "/apis/trainingjob.dev/v1alpha1/namespaces/ml/trainingjobs/mnist"
RUNNING = {"type": "Running", "status": "True", "novelty": "kept"}
TOLD = {
    "type": "Readable",
    "status": "False",
    "reason": "UnreadableField",
    "message": "this release of the operator cannot read status.state: unknown. It does not touch "
    "the job, its pods or its run until a release runs that can: find the one that wrote the field",
    "observedGeneration": 3,
    "lastTransitionTime": "2026-01-01T00:01:00Z",
}


class Server:
    """An API server that takes every write, and keeps it."""

    def __init__(self) -> None:
        self.writes: list[tuple[str, str, JsonObject]] = []

    async def handle(self, request: web.Request) -> web.Response:
        self.writes.append((request.method, request.path, json.loads(await request.text())))
        return web.json_response({})


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
    jobs = UnreadableJobs(kube, lambda: at(60))
    assert await jobs.reconcile(unreadable(*stored)) == ("unreadable", None)
    body = {"metadata": {"resourceVersion": "5"}, "status": {"conditions": written}}
    assert server.writes == ([("PATCH", f"{PATH}/status", body)] if written else [])


async def test_one_that_is_being_deleted_gets_none(kube: Kube, server: Server) -> None:
    goes = unreadable(deletionTimestamp="2026-01-01T00:00:30Z", finalizers=["somebody/else"])
    assert await UnreadableJobs(kube, lambda: at(60)).reconcile(goes) == ("unreadable", None)
    assert server.writes == []
