"""The election against a Lease in memory that keeps the API's rules, and may be out of reach."""

import asyncio
import copy
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest
from trainingjob_operator.adapters import leader
from trainingjob_operator.adapters.leader import LeaderElector

JsonObject = dict[str, Any]
Until = Callable[[Callable[[], object]], Awaitable[None]]


class LeaseStore:
    """One Lease with optimistic concurrency."""

    def __init__(self) -> None:
        self.lease: JsonObject | None = None
        self.unreachable: set[str] = set()
        self.writes = 0

    def client(self, name: str) -> "Client":
        return Client(self, name)

    def holder(self) -> str:
        return "" if self.lease is None else str(self.lease["spec"]["holderIdentity"])


class Client:
    """One candidate's way to the store."""

    def __init__(self, store: LeaseStore, name: str) -> None:
        self._store = store
        self._name = name

    async def _reach(self) -> None:
        await asyncio.sleep(0)
        if self._name in self._store.unreachable:
            raise ConnectionError("no route")

    async def get_lease(self, _namespace: str, _name: str) -> JsonObject | None:
        await self._reach()
        return copy.deepcopy(self._store.lease)

    async def create_lease(self, _namespace: str, body: JsonObject) -> JsonObject | None:
        await self._reach()
        if self._store.lease is not None:
            return None
        return self._stored(body)

    async def patch_lease(self, _namespace: str, _name: str, body: JsonObject) -> JsonObject | None:
        await self._reach()
        current = self._store.lease
        if current is None:
            return None
        if body["metadata"]["resourceVersion"] != current["metadata"]["resourceVersion"]:
            return None
        return self._stored({**current, "spec": {**current["spec"], **body["spec"]}})

    def _stored(self, lease: JsonObject) -> JsonObject:
        self._store.writes += 1
        version = {"resourceVersion": str(self._store.writes)}
        self._store.lease = {**lease, "metadata": {**lease["metadata"], **version}}
        return copy.deepcopy(self._store.lease)


class Candidate:
    """An elector with what it called of its owner."""

    def __init__(self, store: LeaseStore, name: str) -> None:
        self.name = name
        self.reported: list[str] = []
        self.errors: list[str] = []
        self.elector = LeaderElector(
            store.client(name),
            name,
            "system",
            "operator",
            lease_seconds=1.0,
            renew_seconds=0.1,
            on_error=self.errors.append,
        )

    async def started(self) -> None:
        self.reported.append("started")
        await asyncio.Event().wait()

    async def stopped(self) -> None:
        self.reported.append("stopped")


@asynccontextmanager
async def running(*candidates: Candidate) -> AsyncIterator[dict[str, asyncio.Task[None]]]:
    tasks = {
        candidate.name: asyncio.create_task(
            candidate.elector.run(candidate.started, candidate.stopped)
        )
        for candidate in candidates
    }
    try:
        yield tasks
    finally:
        for task in tasks.values():
            task.cancel()
        await asyncio.gather(*tasks.values(), return_exceptions=True)


async def test_first_candidate_creates_the_lease_and_renews_it(until: Until) -> None:
    store = LeaseStore()
    candidate = Candidate(store, "a")
    async with running(candidate):
        await until(lambda: store.writes >= 3)
        assert candidate.elector.is_leader
        assert candidate.reported == ["started"]
        assert store.lease is not None
        spec = store.lease["spec"]
        assert spec["acquireTime"] < spec["renewTime"]
        assert {**spec, "acquireTime": "", "renewTime": ""} == {
            "holderIdentity": "a",
            "leaseDurationSeconds": 1,
            "leaseTransitions": 0,
            "acquireTime": "",
            "renewTime": "",
        }


async def test_of_two_candidates_one_leads(until: Until) -> None:
    store = LeaseStore()
    first, second = Candidate(store, "a"), Candidate(store, "b")
    async with running(first, second):
        await until(lambda: store.writes >= 15)  # longer than the lease lasts
        assert sorted([first.reported, second.reported]) == [[], ["started"]]
        assert first.elector.is_leader != second.elector.is_leader


async def test_leader_that_is_killed_is_followed_when_its_lease_is_over(until: Until) -> None:
    store = LeaseStore()
    first, second = Candidate(store, "a"), Candidate(store, "b")
    async with running(first) as tasks:
        await until(lambda: first.elector.is_leader)
        async with running(second):
            store.unreachable.add("a")  # as after a kill, nothing more comes from it
            tasks["a"].cancel()
            await until(lambda: second.elector.is_leader)
            assert second.reported == ["started"]
            assert store.lease is not None
            assert store.lease["spec"]["leaseTransitions"] == 1


async def test_released_lease_is_taken_at_once(until: Until) -> None:
    store = LeaseStore()
    first, second = Candidate(store, "a"), Candidate(store, "b")
    async with running(first) as tasks:
        await until(lambda: first.elector.is_leader)
        tasks["a"].cancel()
        await asyncio.gather(tasks["a"], return_exceptions=True)
        assert first.reported == ["started", "stopped"]
        await first.elector.release()
        assert store.holder() == ""
        async with running(second):
            async with asyncio.timeout(0.5):  # half of the lease's duration
                await until(lambda: second.elector.is_leader)


async def test_release_by_one_who_does_not_hold_changes_nothing(until: Until) -> None:
    store = LeaseStore()
    first, second = Candidate(store, "a"), Candidate(store, "b")
    async with running(first):
        await until(lambda: first.elector.is_leader)
        await second.elector.release()
        assert store.holder() == "a"


async def test_leader_cut_off_stops_before_another_may_start(until: Until) -> None:
    store = LeaseStore()
    first, second = Candidate(store, "a"), Candidate(store, "b")
    order: list[str] = []
    first.reported = second.reported = order
    async with running(first):
        await until(lambda: first.elector.is_leader)
        async with running(second):
            store.unreachable.add("a")
            await until(lambda: second.elector.is_leader)
            assert order == ["started", "stopped", "started"]
            assert not first.elector.is_leader
            store.unreachable.clear()
            await asyncio.sleep(0)
            assert not first.elector.is_leader


async def test_leader_comes_back_after_it_was_cut_off(until: Until) -> None:
    store = LeaseStore()
    candidate = Candidate(store, "a")
    async with running(candidate):
        await until(lambda: candidate.elector.is_leader)
        store.unreachable.add("a")
        await until(lambda: candidate.reported == ["started", "stopped"])
        store.unreachable.clear()
        await until(lambda: candidate.elector.is_leader)
        assert candidate.reported == ["started", "stopped", "started"]


async def test_leader_whose_lease_another_has_taken_stops_at_once(until: Until) -> None:
    store = LeaseStore()
    candidate = Candidate(store, "a")
    async with running(candidate):
        await until(lambda: candidate.elector.is_leader)
        assert store.lease is not None
        store.lease["spec"]["holderIdentity"] = "thief"
        store.lease["metadata"]["resourceVersion"] = "stolen"
        async with asyncio.timeout(0.5):  # half of the lease's duration
            await until(lambda: candidate.reported == ["started", "stopped"])


@pytest.mark.parametrize("year", [1999, 2999])
async def test_lease_of_another_counts_from_when_we_saw_it(until: Until, year: int) -> None:
    """A time written by another's clock means nothing, be it old or in the future."""
    store = LeaseStore()
    store.lease = {
        "metadata": {"name": "operator", "resourceVersion": "1"},
        "spec": {
            "holderIdentity": "stranger",
            "leaseDurationSeconds": 1,
            "renewTime": f"{year}-01-01T00:00:00.000000Z",
        },
    }
    candidate = Candidate(store, "a")
    loop = asyncio.get_running_loop()
    begin = loop.time()
    async with running(candidate):
        await until(lambda: candidate.elector.is_leader)
    assert 0.9 < loop.time() - begin < 10


async def test_work_is_cancelled_when_the_lease_is_lost(until: Until) -> None:
    store = LeaseStore()
    reported: list[str] = []

    async def work() -> None:
        reported.append("working")
        try:
            await asyncio.Event().wait()
        finally:
            reported.append("cancelled")

    async def stopped() -> None:
        reported.append("stopped")

    candidate = Candidate(store, "a")
    task = asyncio.create_task(candidate.elector.run(work, stopped))
    await until(lambda: reported == ["working"])
    store.unreachable.add("a")
    await until(lambda: reported == ["working", "cancelled", "stopped"])
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


async def raises() -> None:
    raise ValueError("broken")


async def returns() -> None:
    """As if all were done."""


async def cancels() -> None:
    raise asyncio.CancelledError


@pytest.mark.parametrize(
    ("end", "logged"),
    [
        (raises, "ValueError: broken"),
        (returns, "WorkEnded: the leader's work has ended by itself"),
        (cancels, "WorkEnded: the leader's work has ended by itself"),
    ],
)
async def test_work_that_ends_gives_up_the_lease_says_why_and_begins_anew(
    end: Callable[[], Awaitable[None]],
    logged: str,
    until: Until,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(leader, "AGAIN_BASE_SECONDS", 0.01)
    store = LeaseStore()
    candidate = Candidate(store, "a")
    holders: list[str] = []

    async def work() -> None:
        holders.append(store.holder())
        if len(holders) == 1:
            await end()
        else:
            await asyncio.Event().wait()

    async def stopped() -> None:
        holders.append(store.holder())

    task = asyncio.create_task(candidate.elector.run(work, stopped))
    await until(lambda: len(holders) == 3)
    assert candidate.elector.is_leader
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    assert candidate.errors == ["leader"]
    assert [record.levelname for record in caplog.records] == ["ERROR"]
    assert logged in caplog.text
    assert store.lease is not None
    assert store.lease["spec"]["leaseTransitions"] == 1, "it was nobody's in between"
