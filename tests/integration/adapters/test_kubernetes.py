"""The adapters against a real API server."""

import asyncio
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import aclosing, asynccontextmanager
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any, Protocol

import pytest
from trainingjob_operator.adapters.events import EventWriter, Subject
from trainingjob_operator.adapters.informer import Informer
from trainingjob_operator.adapters.kube import (
    EVENTS,
    JOBS,
    LEASES,
    Conflict,
    Kube,
    NotFound,
    Resource,
)
from trainingjob_operator.adapters.leader import LeaderElector

JsonObject = dict[str, Any]
Until = Callable[[Callable[[], object]], Awaitable[None]]
NAMESPACES = Resource("", "v1", "namespaces")


class Cluster(Protocol):
    @property
    def kubeconfig(self) -> Path: ...


@pytest.fixture
async def kube(kwok: Cluster, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Kube]:
    monkeypatch.setenv("KUBECONFIG", str(kwok.kubeconfig))
    kube = await Kube.connect()
    yield kube
    await kube.close()


@pytest.fixture
async def namespace(kube: Kube) -> AsyncIterator[str]:
    name = f"adapters-{uuid.uuid4().hex[:8]}"
    await kube.create(NAMESPACES, "", {"metadata": {"name": name}})
    yield name
    await kube.delete(NAMESPACES, "", name)


def suspended_job(name: str) -> JsonObject:
    container = {"name": "trainer", "image": "trainer"}
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {"name": name},
        "spec": {
            "suspend": True,
            "template": {"spec": {"restartPolicy": "Never", "containers": [container]}},
        },
    }


def lease(name: str, owner: str) -> JsonObject:
    return {
        "apiVersion": "coordination.k8s.io/v1",
        "kind": "Lease",
        "metadata": {"name": name, "labels": {"owner": owner}},
    }


async def test_life_of_an_object(kube: Kube, namespace: str) -> None:
    created = await kube.create(JOBS, namespace, suspended_job("a-0"))
    uid = created["metadata"]["uid"]
    with pytest.raises(Conflict) as raised:
        await kube.create(JOBS, namespace, suspended_job("a-0"))
    assert raised.value.reason == "AlreadyExists"

    labelled = await kube.patch(JOBS, namespace, "a-0", {"metadata": {"labels": {"x": "y"}}})
    assert labelled["metadata"]["labels"]["x"] == "y"
    path = "/metadata/labels/x"
    changed = await kube.patch(
        JOBS, namespace, "a-0", [{"op": "replace", "path": path, "value": "z"}]
    )
    assert changed["metadata"]["labels"]["x"] == "z"
    assert (await kube.get(JOBS, namespace, "a-0"))["metadata"]["uid"] == uid

    with pytest.raises(Conflict):
        await kube.delete(JOBS, namespace, "a-0", uid=str(uuid.uuid4()))
    assert await kube.delete(JOBS, namespace, "a-0", uid=uid)
    assert not await kube.delete(JOBS, namespace, "a-0", uid=uid)
    with pytest.raises(NotFound):
        await kube.get(JOBS, namespace, "a-0")


async def test_patch_of_an_older_version_is_a_conflict(kube: Kube, namespace: str) -> None:
    old = await kube.create(LEASES, namespace, lease("a", "x"))
    patch = {
        "metadata": {
            "resourceVersion": old["metadata"]["resourceVersion"],
            "labels": {"owner": "y"},
        }
    }
    await kube.patch(LEASES, namespace, "a", patch)
    with pytest.raises(Conflict) as raised:
        await kube.patch(LEASES, namespace, "a", patch)
    assert raised.value.reason == "Conflict"


async def test_watch_begins_after_its_version_and_ends_in_time(kube: Kube, namespace: str) -> None:
    seen = await kube.create(LEASES, namespace, lease("seen", "x"))
    await kube.create(LEASES, namespace, lease("new", "x"))
    stream = kube.watch_lines(
        LEASES,
        namespace=namespace,
        label_selector="owner",
        resource_version=seen["metadata"]["resourceVersion"],
        timeout_seconds=1,
    )
    async with aclosing(stream):
        events = [event async for event in stream if event["type"] != "BOOKMARK"]
    assert [(event["type"], event["object"]["metadata"]["name"]) for event in events] == [
        ("ADDED", "new")
    ]


class Watched:
    """An informer over the leases of one namespace by their label "owner"."""

    def __init__(self, kube: Kube, namespace: str) -> None:
        self.changes: list[str] = []
        self.informer: Informer[tuple[str, str]] = Informer(
            kube.source(LEASES, namespace=namespace, label_selector="owner"),
            lambda item: (item["metadata"]["name"], item["metadata"]["labels"]["owner"]),
            lambda value: value[1],
            self.changes.append,
        )


@asynccontextmanager
async def watching(kube: Kube, namespace: str) -> AsyncIterator[Watched]:
    watched = Watched(kube, namespace)
    task = asyncio.create_task(watched.informer.run())
    try:
        async with asyncio.timeout(60):
            await watched.informer.synced.wait()
        yield watched
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def test_informer_follows_what_others_do(kube: Kube, namespace: str, until: Until) -> None:
    await kube.create(LEASES, namespace, lease("before", "x"))
    await kube.create(LEASES, namespace, {**lease("foreign", "x"), "metadata": {"name": "foreign"}})
    async with watching(kube, namespace) as watched:
        informer = watched.informer
        assert informer.items() == (("before", "x"),)
        await kube.create(LEASES, namespace, lease("after", "y"))
        await until(lambda: informer.get(namespace, "after"))
        await kube.patch(LEASES, namespace, "before", {"metadata": {"labels": {"owner": "y"}}})
        await until(lambda: len(informer.by_index("y")) == 2)
        # Without the label it is no longer selected, which a watch reports as a deletion.
        await kube.patch(LEASES, namespace, "after", {"metadata": {"labels": {"owner": None}}})
        await until(lambda: len(informer.by_index("y")) == 1)
        await kube.delete(LEASES, namespace, "before")
        await until(lambda: not informer.items())
        assert watched.changes == ["x", "y", "x", "y", "y", "y"]
        assert informer.age() < 30


async def test_informer_lists_more_than_a_page(kube: Kube, namespace: str) -> None:
    count = 510
    places = asyncio.Semaphore(16)

    async def create(number: int) -> None:
        async with places:
            await kube.create(LEASES, namespace, lease(f"lease-{number}", "x"))

    await asyncio.gather(*(create(number) for number in range(count)))
    async with watching(kube, namespace) as watched:
        assert len(watched.informer.by_index("x")) == count


async def test_a_repeated_event_counts_up(kube: Kube, namespace: str) -> None:
    subject = Subject(namespace, "mnist", str(uuid.uuid4()))
    for second, instance in enumerate(("operator-0", "operator-1", "operator-1")):
        # Each is a writer of its own, as after a restart.
        writer = EventWriter(kube, instance, partial(datetime, 2030, 1, 1, 0, 0, second, 0, UTC))
        assert await writer.write(subject, "Normal", "Running", "all ranks run", attempt=0)
    page = await kube.list_page(
        EVENTS,
        namespace=namespace,
        label_selector="",
        limit=10,
        continue_token=None,
        resource_version=None,
    )
    (event,) = page["items"]
    shown = ("type", "reason", "note", "reportingController", "reportingInstance")
    assert [event[field] for field in shown] == [
        "Normal",
        "Running",
        "all ranks run",
        "trainingjob-operator",
        "operator-0",
    ]
    assert event["regarding"]["uid"] == subject.uid
    assert event["eventTime"] == "2030-01-01T00:00:00.000000Z"
    assert event["series"] == {"count": 3, "lastObservedTime": "2030-01-01T00:00:02.000000Z"}


async def work() -> None:
    """What a leader does until it is cancelled."""
    await asyncio.Event().wait()


async def nothing() -> None:
    """What a candidate does when it no longer leads."""


async def test_leadership_is_handed_over_at_a_release(
    kube: Kube, namespace: str, until: Until
) -> None:
    electors = [
        LeaderElector(kube, identity, namespace, "operator", lease_seconds=30, renew_seconds=1)
        for identity in ("operator-0", "operator-1")
    ]
    tasks = [asyncio.create_task(elector.run(work, nothing)) for elector in electors]
    try:
        await until(lambda: any(elector.is_leader for elector in electors))
        leader = electors.index(next(elector for elector in electors if elector.is_leader))
        other = 1 - leader
        assert not electors[other].is_leader
        tasks[leader].cancel()
        await asyncio.gather(tasks[leader], return_exceptions=True)
        await electors[leader].release()
        async with asyncio.timeout(15):  # half of the lease's duration
            await until(lambda: electors[other].is_leader)
        spec = (await kube.get(LEASES, namespace, "operator"))["spec"]
        assert spec["holderIdentity"] == f"operator-{other}"
        assert (spec["leaseDurationSeconds"], spec["leaseTransitions"]) == (30, 1)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
