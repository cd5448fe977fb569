"""Two installations and their Leases in several namespaces, in memory."""

import asyncio
import copy
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest
from trainingjob_operator.adapters.kube import ApiError, NotFound, Resource
from trainingjob_operator.cluster.claims import Claims

JsonObject = dict[str, Any]


class Cluster:
    """Leases by their namespace, with optimistic concurrency; some namespaces go, or are gone."""

    def __init__(self) -> None:
        self.leases: dict[str, JsonObject] = {}
        self.going: set[str] = set()
        self.gone: set[str] = set()
        self.forbidden: set[str] = set()
        self.writes = 0

    async def get(self, resource: Resource, _: str, name: str) -> JsonObject:
        assert resource.plural == "namespaces"
        if name in self.gone:
            raise NotFound(404, "NotFound", name)
        deleted = {"deletionTimestamp": "2030-01-01T00:00:00Z"} if name in self.going else {}
        return {"metadata": {"name": name, **deleted}}

    async def get_lease(self, namespace: str, name: str) -> JsonObject | None:
        assert name == "trainingjobs.trainingjob.dev"
        return copy.deepcopy(self.leases.get(namespace))

    async def create_lease(self, namespace: str, body: JsonObject) -> JsonObject | None:
        if namespace in self.gone:
            raise NotFound(404, "NotFound", f"namespace {namespace} not found")
        if namespace in self.going | self.forbidden:
            raise ApiError(403, "Forbidden", "forbidden")
        return None if namespace in self.leases else self._stored(namespace, body)

    async def patch_lease(self, namespace: str, _: str, body: JsonObject) -> JsonObject | None:
        now = self.leases.get(namespace)
        if now is None or now["metadata"]["resourceVersion"] != body["metadata"]["resourceVersion"]:
            return None
        return self._stored(namespace, {**now, "spec": {**now["spec"], **body["spec"]}})

    def _stored(self, namespace: str, lease: JsonObject) -> JsonObject:
        self.writes += 1
        metadata = {**lease["metadata"], "resourceVersion": str(self.writes)}
        self.leases[namespace] = {**lease, "metadata": metadata}
        return copy.deepcopy(self.leases[namespace])

    def holders(self) -> dict[str, str]:
        return {name: one["spec"]["holderIdentity"] for name, one in self.leases.items()}


class Side:
    """An installation that wants some namespaces."""

    def __init__(self, cluster: Cluster, name: str, *wanted: str, seconds: float = 60) -> None:
        self.wanted = set(wanted)
        self.changes: list[str] = []
        self.claims = Claims(
            cluster, name, seconds, lambda: self.wanted, self.changes.append, lambda _: None
        )

    @asynccontextmanager
    async def works(self) -> AsyncIterator["Side"]:
        work = asyncio.create_task(self.claims.run())
        await asyncio.sleep(0)
        yield self
        work.cancel()
        await asyncio.gather(work, return_exceptions=True)


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(10):
        while not condition():  # noqa: ASYNC110 - what it waits for has no event of its own
            await asyncio.sleep(0.01)


async def test_the_first_one_has_the_namespace_and_the_second_one_knows_whose_it_is(
    caplog: pytest.LogCaptureFixture,
) -> None:
    cluster = Cluster()
    async with Side(cluster, "ops/one", "shared").works() as first:
        assert await first.claims.acquire("shared")
        assert first.changes == ["shared"]
        async with Side(cluster, "ops/two", "shared", "free").works() as second:
            assert await second.claims.acquire("free")
            assert not await second.claims.acquire("shared")
            assert second.claims.foreign() == {"shared": "ops/one"}
            assert second.changes == ["free"]
            reported = (
                "namespace shared is served by another installation, ops/one: this one, ops/two,"
            )
            await until(lambda: reported in caplog.text)
    assert cluster.holders() == {"shared": "ops/one", "free": "ops/two"}


async def test_it_asks_for_a_namespace_at_the_first_question_and_leaves_it_to_expire() -> None:
    cluster = Cluster()
    async with Side(cluster, "ops/one").works() as side:
        assert not side.claims.serves("late")
        await until(lambda: side.claims.serves("late"))
        # Nothing is to be done there any more: see `wanted`.
        await until(lambda: side.changes == ["late", "late"])
    assert cluster.holders() == {"late": "ops/one"}


async def test_the_next_leader_of_an_installation_has_its_namespaces_at_once() -> None:
    cluster = Cluster()
    for _ in range(2):
        async with Side(cluster, "ops/one", "mine").works() as side:
            assert await side.claims.acquire("mine")


async def test_a_lease_that_nobody_renews_goes_to_the_other_one() -> None:
    cluster = Cluster()
    async with Side(cluster, "ops/one", "shared", seconds=1).works() as first:
        assert await first.claims.acquire("shared")
    async with Side(cluster, "ops/two", "shared", seconds=1).works() as second:
        assert not await second.claims.acquire("shared")
        await until(lambda: second.claims.serves("shared"))
    assert cluster.holders() == {"shared": "ops/two"}


@pytest.mark.parametrize("state", ["going", "gone"])
async def test_a_namespace_that_is_deleted_is_served_to_its_end(state: str) -> None:
    cluster = Cluster()
    getattr(cluster, state).add("ending")
    async with Side(cluster, "ops/one").works() as side:
        assert await side.claims.acquire("ending")
    assert cluster.leases == {}


async def test_without_the_right_to_a_lease_nothing_is_served() -> None:
    cluster = Cluster()
    cluster.forbidden.add("closed")
    async with Side(cluster, "ops/one", "closed").works() as side:
        await until(lambda: not side.claims.serves("closed"))
        assert side.claims.foreign() == {}


async def test_nothing_is_served_while_another_replica_leads() -> None:
    cluster = Cluster()
    side = Side(cluster, "ops/one", "mine")
    assert not await side.claims.acquire("mine")
    assert cluster.leases == {}
