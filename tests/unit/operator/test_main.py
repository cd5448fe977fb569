"""The process outlives a kopf that gives up."""

import asyncio
from collections.abc import Callable, Coroutine, Iterator
from typing import Any

import pytest
from trainingjob_operator.__main__ import run_to_the_end


def lives(ends: Iterator[Exception | None]) -> Callable[[asyncio.Event], Coroutine[Any, Any, None]]:
    async def live(_: asyncio.Event) -> None:
        end = next(ends)
        if end is not None:
            raise end

    return live


def test_a_failed_kopf_begins_anew_after_a_growing_wait() -> None:
    ends = iter([RuntimeError("an ERROR event")] * 7 + [None])
    waits: list[float] = []
    run_to_the_end(lives(ends), waits.append)
    assert waits == [1, 2, 4, 8, 16, 30, 30]
    assert next(ends, "none left") == "none left"


def test_a_life_that_lasted_starts_the_waits_anew(caplog: pytest.LogCaptureFixture) -> None:
    ends = iter([RuntimeError("an ERROR event")] * 4 + [None])
    times = iter([0, 1, 2, 3, 10, 100, 101, 102, 103, 500])
    waits: list[float] = []
    run_to_the_end(lives(ends), waits.append, lambda: next(times))
    assert waits == [1, 2, 1, 2]
    assert caplog.messages == [f"kopf has failed, beginning anew in {wait:g} s" for wait in waits]
    assert {record.levelname for record in caplog.records} == {"ERROR"}
    assert "RuntimeError: an ERROR event" in caplog.text


def test_a_signal_that_comes_as_the_loop_of_a_failed_kopf_closes_is_heeded(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def live(stop: asyncio.Event) -> None:
        # Runs when asyncio.run() cancels what is left, after kopf has raised.
        asyncio.get_running_loop().create_task(set_when_cancelled(stop))
        await asyncio.sleep(0)
        raise RuntimeError("an ERROR event")

    waits: list[float] = []
    run_to_the_end(live, waits.append)
    assert waits == []
    assert caplog.messages == ["kopf has failed while it was ending"]


async def set_when_cancelled(stop: asyncio.Event) -> None:
    try:
        await asyncio.Event().wait()
    finally:
        stop.set()
