"""TrainingJobs that are gone: who is found, and by what."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer
from kubernetes.aio.client.api_client import ApiClient
from kubernetes.aio.client.configuration import Configuration
from trainingjob_operator.adapters.informer import Informer
from trainingjob_operator.adapters.kube import Kube
from trainingjob_operator.adapters.kube.transport import Transport
from trainingjob_operator.api import TrainingJob
from trainingjob_operator.cluster.caches import DEPARTED_SECONDS, Caches
from trainingjob_operator.cluster.departed import DepartedJobs
from trainingjob_operator.cluster.trainingjobs import Known, TrainingJobCache, Unreadable
from trainingjob_operator.core import manifests
from trainingjob_operator.core.decode import job_view, pod_view, service_view
from trainingjob_operator.core.observe import JobView, PodView, ServiceView, owner_key

from tests.support.jobs import RUN, TRACKING, at, training_job

JsonObject = dict[str, Any]
KEY = "ml/mnist"


def child_of(job: TrainingJob, uid: str = "j-1") -> JsonObject:
    made = manifests.child_job(job, 1, RUN, TRACKING)
    given = {"uid": uid, "resourceVersion": "7", "creationTimestamp": "2026-01-01T00:00:01Z"}
    return {**made, "metadata": {**made["metadata"], **given}}


class Lists:
    """Lists the same objects, and has no news of them."""

    def __init__(self, *items: JsonObject) -> None:
        self._items = items

    async def list_page(self, **_: Any) -> JsonObject:
        return {"metadata": {"resourceVersion": "9"}, "items": list(self._items)}

    async def watch_lines(self, **_: Any) -> AsyncGenerator[JsonObject, None]:
        await asyncio.Event().wait()
        yield {}


async def caches_with(*jobs: JsonObject, clock: Callable[[], float] = lambda: 100.0) -> Caches:
    """Caches that know these child Jobs."""
    children: Informer[JobView] = Informer(Lists(*jobs), job_view, owner_key, lambda _: None)
    pods: Informer[PodView] = Informer(Lists(), pod_view, owner_key, lambda _: None)
    services: Informer[ServiceView] = Informer(Lists(), service_view, owner_key, lambda _: None)
    task = asyncio.create_task(children.run())
    await children.synced.wait()
    task.cancel()
    trainingjobs = TrainingJobCache(Lists(), lambda _: None, lambda _: None)
    return Caches(trainingjobs, children, pods, services, clock)


@asynccontextmanager
async def api_server(**found: JsonObject) -> AsyncIterator[Kube]:
    """An API server that has these objects, by the last part of their path."""

    async def handle(request: web.Request) -> web.Response:
        name = request.path.rsplit("/", 1)[1].replace("-", "_")
        return web.json_response(found.get(name, {}), status=200 if name in found else 404)

    application = web.Application()
    application.router.add_get("/{path:.*}", handle)
    async with TestServer(application) as started:
        client = ApiClient(Configuration(host=str(started.make_url("")).rstrip("/")))
        kube = Kube(Transport(client))
        yield kube
        await kube.close()


async def test_one_that_was_watched_is_known_as_it_was_until_it_is_done_with() -> None:
    caches = await caches_with()
    async with api_server() as kube:
        departed = DepartedJobs(kube, caches, lambda: at(60))
        gone = training_job(status={"state": "Running"})
        caches.remember_departed(gone, at(50))
        found = await departed.before(KEY, None)
        assert found is not None
        assert (found.status.state, found.metadata.deletion_timestamp) == ("Running", at(50))
        assert caches.guarded("ml", "mnist", "u-1")
        caches.forget_departed(found)
        assert await departed.before(KEY, None) is None
        assert not caches.guarded("ml", "mnist", "u-1")


async def test_of_two_of_a_name_the_first_one_counts_first() -> None:
    caches = await caches_with()
    for uid in ("u-1", "u-2", "u-1"):
        caches.remember_departed(training_job(uid=uid), at(50))
    first = caches.departed(KEY)
    assert first is not None
    assert first.metadata.uid == "u-2"
    caches.forget_departed(first)
    second = caches.departed(KEY)
    assert second is not None
    assert second.metadata.uid == "u-1"


async def test_one_that_nothing_is_heard_of_is_forgotten() -> None:
    now = 100.0
    caches = await caches_with(clock=lambda: now)
    caches.remember_departed(training_job(), at(50))
    now += DEPARTED_SECONDS
    assert caches.departed(KEY) is None


NEXT = training_job(uid="u-2")
UNREADABLE = Unreadable(training_job().metadata, "status.state: unknown", ())
GOES = training_job(deletionTimestamp="2026-01-01T00:00:30Z").metadata


@pytest.mark.parametrize(
    ("present", "owner", "found"),
    [
        pytest.param(None, None, "u-1", id="gone"),
        pytest.param(NEXT, "u-2", "u-1", id="another-one-has-its-name"),
        pytest.param(None, "u-1", None, id="the-copy-is-behind"),
        pytest.param(training_job(), "u-1", None, id="it-is-there"),
        pytest.param(UNREADABLE, "u-1", None, id="it-cannot-be-read"),
        pytest.param(
            Unreadable(GOES, "status.state: unknown", ()), "u-1", "u-1", id="it-goes-unread"
        ),
    ],
)
async def test_a_job_that_is_held_shows_its_owner(
    present: Known | None, owner: str | None, found: str | None
) -> None:
    child = child_of(training_job())
    caches = await caches_with(child)
    there = {"mnist": {"metadata": {"uid": owner}}} if owner else {}
    async with api_server(mnist_1=child, **there) as kube:
        reported = await DepartedJobs(kube, caches, lambda: at(60)).before(KEY, present)
    assert (reported.metadata.uid if reported else None) == found
    assert caches.guarded("ml", "mnist", "u-1")


async def test_a_job_that_is_gone_meanwhile_shows_nobody() -> None:
    caches = await caches_with(child_of(training_job()))
    async with api_server() as kube:
        assert await DepartedJobs(kube, caches, lambda: at(60)).before(KEY, None) is None
    assert not caches.guarded("ml", "mnist", "u-1")
