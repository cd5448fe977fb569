"""What the operator keeps in memory beside the informers."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

from trainingjob_operator.adapters.informer import Informer
from trainingjob_operator.cluster.caches import MEMORY_SECONDS, Caches
from trainingjob_operator.cluster.trainingjobs import TrainingJobCache
from trainingjob_operator.core.decode import job_view, pod_view, service_view
from trainingjob_operator.core.observe import JobView, PodView, ServiceView, owner_key

from tests.support.jobs import started, training_job

JOB = training_job(status=started())


def pod(phase: str, name: str = "mnist-1-0-x", uid: str = "u-1") -> dict[str, Any]:
    labels = {"name": "mnist", "uid": uid, "attempt": "1"}
    return {
        "metadata": {
            "namespace": "ml",
            "name": name,
            "resourceVersion": "7",
            "labels": {f"trainingjob.dev/{key}": value for key, value in labels.items()},
        },
        "status": {"phase": phase},
    }


class Api:
    """Lists pods, then reports the deletion of each."""

    def __init__(self, *pods: dict[str, Any]) -> None:
        self._pods = pods

    async def list_page(self, **_: Any) -> dict[str, Any]:
        return {"metadata": {"resourceVersion": "1"}, "items": list(self._pods)}

    async def watch_lines(self, **_: Any) -> AsyncGenerator[dict[str, Any], None]:
        for one in self._pods:
            yield {"type": "DELETED", "object": one}
        await asyncio.Event().wait()


@asynccontextmanager
async def caches_of(api: Api, clock: Callable[[], float]) -> AsyncIterator[Caches]:
    """Caches whose pods were listed and are deleted by now."""
    trainingjobs = TrainingJobCache(Api(), lambda _: None, lambda _: None)
    jobs: Informer[JobView] = Informer(Api(), job_view, owner_key, lambda _: None)
    gone = asyncio.Semaphore(0)

    def on_change(_: str) -> None:
        if not pods.items():
            gone.release()

    pods: Informer[PodView] = Informer(
        api, pod_view, owner_key, on_change, on_gone=lambda one: caches.remember_gone(one)
    )
    services: Informer[ServiceView] = Informer(Api(), service_view, owner_key, lambda _: None)
    caches = Caches(trainingjobs, jobs, pods, services, clock)
    task = asyncio.create_task(pods.run())
    async with asyncio.timeout(60):
        await gone.acquire()
    yield caches
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


async def test_how_a_deleted_pod_ended_is_kept_for_a_while() -> None:
    now = 100.0
    api = Api(pod("Failed"), pod("Running", "mnist-1-1-x"), pod("Failed", "old", uid="u-0"))
    async with caches_of(api, lambda: now) as caches:
        observed = caches.observed(JOB)
        assert observed.pods == ()
        assert [one.name for one in observed.gone] == ["mnist-1-0-x"]
        now += MEMORY_SECONDS
        assert caches.observed(JOB).gone == ()


async def test_nothing_is_kept_of_a_job_that_is_gone() -> None:
    async with caches_of(Api(pod("Failed")), lambda: 100.0) as caches:
        caches.forget("ml/mnist")
        assert caches.observed(JOB).gone == ()


class Still(Api):
    """Lists pods of which nothing more is reported."""

    async def watch_lines(self, **_: Any) -> AsyncGenerator[dict[str, Any], None]:
        await asyncio.Event().wait()
        yield {}


async def test_a_pod_that_does_not_end_in_time_is_known() -> None:
    now = 100.0
    ending = {**pod("Running"), "spec": {"activeDeadlineSeconds": 1}}
    pods: Informer[PodView] = Informer(Still(ending), pod_view, owner_key, lambda _: None)
    services: Informer[ServiceView] = Informer(Api(), service_view, owner_key, lambda _: None)
    jobs: Informer[JobView] = Informer(Api(), job_view, owner_key, lambda _: None)
    trainingjobs = TrainingJobCache(Api(), lambda _: None, lambda _: None)
    caches = Caches(trainingjobs, jobs, pods, services, lambda: now)
    task = asyncio.create_task(pods.run())
    async with asyncio.timeout(60):
        await pods.synced.wait()
    # A grace period of 60 s and 30 s more, from the first look on.
    shown = []
    for seconds in (0.0, 89.0, 1.0):
        now += seconds
        shown.append(caches.observed(JOB).stuck)
    assert shown == [frozenset(), frozenset(), frozenset({"mnist-1-0-x"})]
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
