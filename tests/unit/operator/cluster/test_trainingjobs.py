"""The cache of TrainingJobs: whatever comes in whichever order, the newest state stays."""

import asyncio
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from trainingjob_operator.api import TrainingJob
from trainingjob_operator.cluster import trainingjobs as module
from trainingjob_operator.cluster.trainingjobs import TrainingJobCache, Unreadable

JsonObject = dict[str, Any]


def job(name: str, version: int, **more: Any) -> JsonObject:
    return {
        "metadata": {
            "namespace": "ml",
            "name": name,
            "uid": f"u-{name}",
            "resourceVersion": str(version),
        },
        "spec": {"image": "trainer:1"},
        **more,
    }


def page(version: int, *items: Any, following: str = "") -> JsonObject:
    return {
        "metadata": {"resourceVersion": str(version), "continue": following},
        "items": list(items),
    }


class Api:
    """Answers lists one after the other."""

    def __init__(self, *pages: Any) -> None:
        self.pages = list(pages)
        self.asked: list[str | None] = []

    async def list_page(self, *, limit: int, continue_token: str | None) -> JsonObject:
        assert limit == 200
        self.asked.append(continue_token)
        answer: Any = self.pages.pop(0)
        if isinstance(answer, Exception):
            raise answer
        found: JsonObject = answer
        return found


class Cached:
    """A cache with what it reported."""

    def __init__(self, *pages: Any) -> None:
        self.now = 100.0
        self.api = Api(*pages)
        self.changes: list[str] = []
        self.errors: list[str] = []
        self.gone: list[str] = []
        self.cache = TrainingJobCache(
            self.api,
            self.changes.append,
            self.errors.append,
            lambda job: self.gone.append(f"{job.metadata.uid} {job.metadata.resource_version}"),
            lambda: self.now,
        )

    def versions(self) -> dict[str, int]:
        """The version of each object that is there."""
        found = {key: self.cache.get(key) for key in self.cache}
        return {
            key.removeprefix("ml/"): int(one.metadata.resource_version)
            for key, one in found.items()
            if one is not None
        }


@pytest.mark.parametrize(
    ("events", "versions", "changes"),
    [
        ([(None, job("a", 5))], {"a": 5}, ["ml/a"]),
        ([(None, job("a", 5)), ("MODIFIED", job("a", 6))], {"a": 6}, ["ml/a", "ml/a"]),
        # The same once more, as at a list of kopf's.
        ([("ADDED", job("a", 5)), (None, job("a", 5))], {"a": 5}, ["ml/a"]),
        ([("MODIFIED", job("a", 6)), ("MODIFIED", job("a", 5))], {"a": 6}, ["ml/a"]),
        ([("ADDED", job("a", 5)), ("DELETED", job("a", 7))], {}, ["ml/a", "ml/a"]),
        # Of what is deleted nothing older is news.
        ([("DELETED", job("a", 7)), ("MODIFIED", job("a", 6))], {}, []),
        # Another object of the name: kopf hands its events over independently of the first one's.
        ([("ADDED", job("a", 8)), ("DELETED", job("a", 7))], {"a": 8}, ["ml/a"]),
    ],
)
async def test_events(
    events: list[tuple[str | None, JsonObject]], versions: dict[str, int], changes: list[str]
) -> None:
    cached = Cached()
    for kind, item in events:
        cached.cache.apply(kind, item)
    assert (cached.versions(), cached.changes) == (versions, changes)


async def test_a_list_shows_what_is_gone_and_what_no_watch_reported() -> None:
    cached = Cached(page(10, job("b", 6), following="next"), page(10, job("c", 9)))
    for name in ("a", "b"):
        cached.cache.apply(None, job(name, 5))
    cached.cache.apply("ADDED", job("d", 11))
    await cached.cache.refresh()
    assert cached.versions() == {"b": 6, "c": 9, "d": 11}
    assert cached.changes == ["ml/a", "ml/b", "ml/d", "ml/a", "ml/b", "ml/c"]
    assert cached.api.asked == [None, "next"]
    # An event that was under way does not bring back what the list has not.
    cached.cache.apply("MODIFIED", job("a", 7))
    assert cached.versions() == {"b": 6, "c": 9, "d": 11}


async def test_a_deletion_during_a_list_counts() -> None:
    cached = Cached()

    async def list_page(**_: Any) -> JsonObject:
        cached.cache.apply("DELETED", job("a", 12))
        return page(10, job("a", 5))

    cached.api.list_page = list_page  # type: ignore[method-assign]  # an answer that comes late
    cached.cache.apply("ADDED", job("a", 5))
    await cached.cache.refresh()
    assert cached.versions() == {}


async def test_what_a_write_answered_counts_and_is_no_news_when_it_is_watched() -> None:
    cached = Cached()
    cached.cache.apply("ADDED", job("a", 5))
    cached.cache.put(TrainingJob.model_validate(job("a", 7)))
    cached.cache.apply("MODIFIED", job("a", 6))
    cached.cache.apply("MODIFIED", job("a", 7))
    assert (cached.versions(), cached.changes) == ({"a": 7}, ["ml/a"])
    cached.cache.apply("DELETED", job("a", 8))
    cached.cache.put(TrainingJob.model_validate(job("a", 7)))
    assert cached.versions() == {}


async def test_the_last_state_of_what_is_gone_is_handed_on_once() -> None:
    cached = Cached(page(10))
    for name in ("a", "b"):
        cached.cache.apply("ADDED", job(name, 5))
    cached.cache.apply("DELETED", job("a", 7))
    cached.cache.apply("DELETED", job("a", 7))
    # No watch reported this one.
    await cached.cache.refresh()
    assert cached.gone == ["u-a 7", "u-b 5"]


async def test_an_object_that_was_created_after_a_list_has_been_seen_by_nobody_before() -> None:
    cached = Cached(page(10, job("old", 5)), page(30))
    cached.cache.apply("ADDED", job("early", 6))
    await cached.cache.refresh()
    cached.cache.apply("ADDED", job("new", 11))
    cached.cache.apply("MODIFIED", job("missed", 12))
    cached.cache.apply(None, job("listed", 13))
    names = ("old", "early", "new", "new", "missed", "listed")
    shown = [cached.cache.take_created(f"u-{name}") for name in names]
    assert shown == [False, False, True, False, False, False]
    cached.cache.apply("ADDED", job("later", 14))
    await cached.cache.refresh()
    assert not cached.cache.take_created("u-later")


async def test_a_list_is_tried_until_it_succeeds(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "RETRY_BASE_SECONDS", 0.001)
    cached = Cached(OSError("away"), {"kind": "Status"}, "text", page(3, job("a", 2)))
    await cached.cache.refresh()
    assert cached.versions() == {"a": 2}
    assert cached.errors == ["trainingjobs"] * 3


async def test_versions_that_went_back_mean_a_store_that_was_restored() -> None:
    cached = Cached(page(100, job("a", 90), job("b", 91)), page(20, job("a", 15)))
    await cached.cache.refresh()
    await cached.cache.refresh()
    assert cached.versions() == {"a": 15}
    cached.cache.apply("MODIFIED", job("a", 21))
    assert cached.versions() == {"a": 21}


@pytest.mark.parametrize(
    "item",
    [
        {},
        {"metadata": {"name": "a"}},
        {"metadata": {"name": "a", "resourceVersion": "x"}},
        {"metadata": {"name": ["a"], "resourceVersion": "3"}},
        {"metadata": None},
        "text",
        None,
    ],
)
async def test_what_is_no_object_costs_only_itself(
    item: Any, caplog: pytest.LogCaptureFixture
) -> None:
    cached = Cached(page(4, item, job("a", 2)))
    cached.cache.apply("ADDED", item)
    cached.cache.apply("DELETED", item)
    await cached.cache.refresh()
    assert cached.versions() == {"a": 2}
    assert set(cached.errors) == {"trainingjobs"}
    assert "Traceback" in caplog.text


async def test_a_job_that_cannot_be_read_is_known_as_such() -> None:
    conditions = [{"type": "Running", "status": "True", "novelty": 1}]
    cached = Cached()
    cached.cache.apply("ADDED", job("a", 5))
    cached.cache.apply(
        "MODIFIED", job("a", 6, status={"state": "Paused", "conditions": conditions})
    )
    found = cached.cache.get("ml/a")
    assert isinstance(found, Unreadable)
    assert found.conditions == tuple(conditions)
    assert found.problem.startswith("status.state: Input should be 'Pending', ")
    assert (cached.versions(), cached.cache.readable()) == ({"a": 6}, ())
    assert (cached.changes, cached.errors) == (["ml/a", "ml/a"], [])


async def test_kopf_is_synced_with_its_first_watch_and_lists_again_after_it() -> None:
    cached = Cached(page(1))
    cached.cache.saw_request("list", 200)
    assert not cached.cache.synced.is_set()
    cached.cache.saw_request("watch", 410)
    assert not cached.cache.synced.is_set()
    cached.cache.saw_request("watch", 200)
    assert cached.cache.synced.is_set()
    again = asyncio.create_task(cached.cache.listed_again(60))
    await asyncio.sleep(0)
    assert not again.done()
    cached.cache.saw_request("list", 200)
    await again
    await cached.cache.refresh()
    await cached.cache.listed_again(0.001)


async def test_age_is_the_time_since_kopf_heard_anything() -> None:
    cached = Cached(page(1))
    cached.now = 130.0
    await cached.cache.refresh()
    cached.cache.saw_request("watch", 503)
    assert cached.cache.age() == 30.0
    cached.cache.saw_request("watch", 200)
    assert cached.cache.age() == 0.0
    cached.now = 140.0
    assert cached.cache.age() == 10.0
    cached.cache.apply("ADDED", job("a", 2))
    assert cached.cache.age() == 0.0


@st.composite
def histories(draw: st.DrawFn) -> list[tuple[int, str, bool]]:
    """What really happens: versions from 1, each the writing or the deletion of one object."""
    steps = draw(st.lists(st.tuples(st.sampled_from("abc"), st.booleans()), max_size=12))
    return [(number, *step) for number, step in enumerate(steps, 1)]


def world(history: list[tuple[int, str, bool]], version: int) -> dict[str, int]:
    """The objects that there are at a version."""
    found: dict[str, int] = {}
    for number, name, deleted in history[:version]:
        found.pop(name, None)
        if not deleted:
            found[name] = number
    return found


@given(history=histories(), data=st.data())
def test_any_order_of_events_lists_and_writes_ends_with_the_truth(
    history: list[tuple[int, str, bool]], data: st.DataObject
) -> None:
    cached = Cached()
    shown = data.draw(st.permutations([*history, *data.draw(_some(history))]))
    lists = sorted(data.draw(st.lists(st.integers(0, len(history)), max_size=3)))
    steps = data.draw(st.permutations([0] * len(lists) + [1] * len(shown)))
    events, versions = iter(shown), iter(lists)
    for step in steps:
        if step:
            number, name, deleted = next(events)
            if not deleted and data.draw(st.booleans()):
                cached.cache.put(TrainingJob.model_validate(job(name, number)))
            else:
                cached.cache.apply("DELETED" if deleted else "MODIFIED", job(name, number))
        else:
            _refresh(cached, history, next(versions))
    # All of it was reported, so that nothing is missing even without the last list.
    assert cached.versions() == world(history, len(history))


@given(history=histories(), data=st.data())
def test_the_next_list_has_whatever_the_watch_did_not_report(
    history: list[tuple[int, str, bool]], data: st.DataObject
) -> None:
    cached = Cached()
    for number, name, deleted in data.draw(_some(history)):
        cached.cache.apply("DELETED" if deleted else "MODIFIED", job(name, number))
    _refresh(cached, history, len(history))
    assert cached.versions() == world(history, len(history))


def _some(history: list[tuple[int, str, bool]]) -> st.SearchStrategy[list[tuple[int, str, bool]]]:
    return st.lists(st.sampled_from(history), max_size=5) if history else st.just([])


def _refresh(cached: Cached, history: list[tuple[int, str, bool]], version: int) -> None:
    there = world(history, version)
    cached.api.pages.append(page(version, *(job(name, at) for name, at in there.items())))
    asyncio.run(cached.cache.refresh())
