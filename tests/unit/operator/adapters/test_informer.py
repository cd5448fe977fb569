"""The informer against a scripted API server: what it keeps, reports and survives."""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from trainingjob_operator.adapters import informer as module
from trainingjob_operator.adapters.informer import Informer

from tests.support.watches import (
    GONE,
    HANG,
    JsonObject,
    Script,
    Slim,
    bookmark,
    decode,
    event,
    page,
    pod,
    running,
)

Until = Callable[[Callable[[], object]], Awaitable[None]]


@pytest.fixture(autouse=True)
def _quick_retries(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "RETRY_BASE_SECONDS", 0.001)


async def test_list_in_pages_then_watch_keeps_the_copy(until: Until) -> None:
    script = Script(
        lists=[
            page(7, pod("a", "x", "Pending"), following="more"),
            page(7, pod("b", "x", "Pending"), pod("c", "", "Running")),
        ],
        watches=[
            [
                event("MODIFIED", pod("a", "x", "Running", 8)),
                event("ADDED", pod("d", "y", "Pending", 9)),
                event("DELETED", pod("b", "x", "Pending", 10)),
                bookmark(11),
                HANG,
            ]
        ],
    )
    async with running(script) as watched:
        informer = watched.informer
        await until(lambda: len(watched.changes) == 5)
        assert informer.synced.is_set()
        assert script.asked == ["list first", "list more", "watch 7"]
        assert set(informer.items()) == {
            ("a", "x", "Running"),
            ("c", "", "Running"),
            ("d", "y", "Pending"),
        }
        assert informer.by_index("x") == (("a", "x", "Running"),)
        assert informer.by_index("nobody") == ()
        assert informer.get("team", "d") == ("d", "y", "Pending")
        assert informer.get("other", "d") is None
        assert watched.changes == ["x", "x", "x", "y", "x"]


async def test_not_synced_until_the_last_page(until: Until) -> None:
    script = Script(
        lists=[
            page(1, pod("a", "x", "Running"), following="more"),
            OSError("connection lost"),
            page(2, pod("a", "x", "Running"), following="more"),
            page(2, pod("b", "x", "Running")),
        ],
        watches=[],
    )
    async with running(script) as watched:
        await until(lambda: "list more" in script.asked)
        assert not watched.informer.synced.is_set()
        await until(watched.informer.synced.is_set)
        assert script.asked[:4] == ["list first", "list more", "list first", "list more"]
        assert watched.changes == ["x", "x"]


async def test_both_owners_hear_of_a_change_of_owner(until: Until) -> None:
    script = Script(
        lists=[page(1, pod("a", "x", "Running"))],
        watches=[[event("MODIFIED", pod("a", "y", "Running", 2)), HANG]],
    )
    async with running(script) as watched:
        await until(lambda: len(watched.changes) == 3)
        assert watched.changes == ["x", "x", "y"]
        assert watched.informer.by_index("x") == ()
        assert watched.informer.by_index("y") == (("a", "y", "Running"),)


async def test_what_decodes_to_the_same_is_no_change(until: Until) -> None:
    script = Script(
        lists=[page(1, pod("a", "x", "Running"))],
        watches=[
            [
                event("MODIFIED", pod("a", "x", "Running", 2)),
                event("MODIFIED", pod("a", "x", "Failed", 3)),
                HANG,
            ]
        ],
    )
    async with running(script) as watched:
        await until(lambda: watched.informer.get("team", "a") == ("a", "x", "Failed"))
        assert watched.changes == ["x", "x"]


@pytest.mark.parametrize(
    "end",
    [
        pytest.param([GONE], id="error event in the stream"),
        pytest.param([bookmark(5), GONE], id="after a bookmark"),
    ],
)
async def test_version_that_is_gone_lists_again_and_reports_the_differences(
    end: list[JsonObject], until: Until
) -> None:
    script = Script(
        lists=[
            page(1, pod("same", "x", "Running"), pod("goes", "y", "Running")),
            page(9, pod("same", "x", "Running"), pod("comes", "z", "Pending")),
        ],
        watches=[end],
    )
    async with running(script) as watched:
        await until(lambda: "watch 9" in script.asked)
        assert script.asked == ["list first", "watch 1", "list first", "watch 9"]
        assert watched.changes == ["x", "y", "y", "z"]
        assert set(watched.informer.items()) == {
            ("same", "x", "Running"),
            ("comes", "z", "Pending"),
        }


async def test_watch_that_ends_goes_on_from_the_last_version(until: Until) -> None:
    script = Script(
        lists=[page(1)],
        watches=[
            [event("ADDED", pod("a", "x", "Pending", 2)), bookmark(5)],
            [event("MODIFIED", pod("a", "x", "Running", 6)), ConnectionResetError("reset")],
        ],
    )
    async with running(script) as watched:
        await until(lambda: len(script.asked) == 4)
        assert script.asked == ["list first", "watch 1", "watch 5", "watch 6"]
        assert watched.changes == ["x", "x"]


@pytest.mark.parametrize(
    "failure",
    [
        pytest.param([ConnectionRefusedError("refused")], id="no server"),
        pytest.param([event("ERROR", {"code": 500, "message": "etcd"})], id="error event"),
        pytest.param([], id="closed at once"),
    ],
)
async def test_failures_in_a_row_are_tried_again_then_listed_again(
    failure: list[Any], until: Until
) -> None:
    script = Script(lists=[page(1), page(1)], watches=[failure, failure, failure])
    async with running(script):
        await until(lambda: len(script.asked) == 6)
        assert script.asked == ["list first", *["watch 1"] * 3, "list first", "watch 1"]


async def test_silent_peer_is_given_up(until: Until) -> None:
    script = Script(lists=[page(1)], watches=[[HANG], [bookmark(3), HANG]])
    async with running(script, watch_seconds=0.1):
        await until(lambda: len(script.asked) == 3)
        assert script.asked == ["list first", "watch 1", "watch 1"]


async def test_age_is_the_time_since_the_last_contact(until: Until) -> None:
    now = [100.0]
    changes: list[str] = []
    script = Script(lists=[page(1)], watches=[[bookmark(2), HANG]])
    informer: Informer[Slim] = Informer(
        script, decode, lambda value: value[1], changes.append, clock=lambda: now[0]
    )
    now[0] = 130.0
    assert informer.age() == 30.0
    task = asyncio.create_task(informer.run())
    await until(lambda: informer.age() == 0)
    now[0] = 175.0
    assert informer.age() == 45.0
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


async def test_object_that_cannot_be_decoded_costs_only_itself(
    caplog: pytest.LogCaptureFixture, until: Until
) -> None:
    broken = {"metadata": {"namespace": "team", "name": "a", "resourceVersion": "2"}}
    script = Script(
        lists=[page(1, pod("a", "x", "Running"))],
        watches=[[event("MODIFIED", broken), event("ADDED", pod("b", "y", "Running", 3)), HANG]],
    )
    with caplog.at_level(logging.ERROR):
        async with running(script) as watched:
            await until(lambda: len(watched.changes) == 2)
            assert set(watched.informer.items()) == {("a", "x", "Running"), ("b", "y", "Running")}
    assert "cannot decode team/a" in caplog.text


NAMELESS = {"metadata": {"resourceVersion": "4"}}


async def test_what_is_no_object_costs_only_itself(
    caplog: pytest.LogCaptureFixture, until: Until
) -> None:
    script = Script(
        lists=[page(1, pod("a", "x", "Running"), NAMELESS, "text")],  # type: ignore[arg-type]  # what a server may send all the same
        watches=[
            [
                event("ADDED", NAMELESS),
                event("DELETED", NAMELESS),
                {"type": "ADDED"},
                {"object": pod("c", "x", "Running")},
                "text",
                event("ADDED", pod("b", "x", "Running", 5)),
                HANG,
            ]
        ],
    )
    async with running(script) as watched:
        await until(lambda: len(watched.informer.by_index("x")) == 2)
        assert watched.changes == ["x", "x"]
        assert watched.errors == ["informer"] * 7
    assert script.asked == ["list first", "watch 1"]
    assert caplog.text.count("Traceback") == 7


async def test_a_callback_that_raises_costs_no_event(
    caplog: pytest.LogCaptureFixture, until: Until
) -> None:
    script = Script(
        lists=[page(1, pod("a", "x", "Running"))],
        watches=[[event("ADDED", pod("b", "y", "Running", 3)), HANG]],
    )
    reported: list[str] = []

    def change(owner: str) -> None:
        reported.append(owner)
        raise ValueError(f"no room for {owner}")

    informer: Informer[Slim] = Informer(
        script, decode, lambda value: value[1], change, on_news=lambda _: change("news")
    )
    task = asyncio.create_task(informer.run())
    await until(lambda: len(reported) == 4)
    task.cancel()
    assert reported == ["news", "x", "news", "y"]
    assert informer.get("team", "b") == ("b", "y", "Running")
    assert "no room for x" in caplog.text


async def test_news_come_before_the_report_and_only_of_what_is_there(until: Until) -> None:
    reported: list[str] = []
    script = Script(
        lists=[page(1, pod("p-0", "a", "Running"))],
        watches=[
            [
                event("MODIFIED", pod("p-0", "a", "Failed", 2)),
                event("DELETED", pod("p-0", "a", "Failed", 3)),
                HANG,
            ]
        ],
    )
    informer: Informer[Slim] = Informer(
        script,
        decode,
        lambda value: value[1],
        lambda owner: reported.append(f"change of {owner}"),
        on_news=lambda value: reported.append(value[2]),
        on_gone=lambda value: reported.append(f"{value[0]} is gone"),
    )
    task = asyncio.create_task(informer.run())
    await until(lambda: len(reported) == 6)
    task.cancel()
    assert reported == [
        "Running",
        "change of a",
        "Failed",
        "change of a",
        "p-0 is gone",
        "change of a",
    ]
