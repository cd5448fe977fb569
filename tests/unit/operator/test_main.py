"""The process outlives a kopf that gives up."""

import asyncio
from collections.abc import Awaitable, Callable, Iterator

import pytest
from trainingjob_operator.__main__ import run_to_the_end


def lives(ends: Iterator[Exception | None]) -> Callable[[], Awaitable[None]]:
    async def live() -> None:
        end = next(ends)
        if end is not None:
            raise end

    return live


class Waits(list[float]):
    """The waits in seconds, each over at once; a signal comes in the last one."""

    async def __call__(self, stop: asyncio.Event, seconds: float) -> None:
        self.append(seconds)
        if len(self) == self.signal_in:
            stop.set()

    signal_in = 0


async def test_a_failed_kopf_begins_anew_after_a_growing_wait() -> None:
    ends = iter([RuntimeError("an ERROR event")] * 7 + [None])
    waits = Waits()
    await run_to_the_end(lives(ends), asyncio.Event(), waits)
    assert waits == [1, 2, 4, 8, 16, 30, 30]
    assert next(ends, "none left") == "none left"


async def test_a_life_that_lasted_starts_the_waits_anew(caplog: pytest.LogCaptureFixture) -> None:
    ends = iter([RuntimeError("an ERROR event")] * 4 + [None])
    times = iter([0, 1, 2, 3, 10, 100, 101, 102, 103, 500])
    waits = Waits()
    await run_to_the_end(lives(ends), asyncio.Event(), waits, lambda: next(times))
    assert waits == [1, 2, 1, 2]
    assert caplog.messages == [f"kopf has failed, restarting in {wait:g} s" for wait in waits]
    assert {record.levelname for record in caplog.records} == {"ERROR"}
    assert "RuntimeError: an ERROR event" in caplog.text


async def test_a_signal_that_comes_while_kopf_fails_is_heeded(
    caplog: pytest.LogCaptureFixture,
) -> None:
    stop, waits = asyncio.Event(), Waits()

    async def live() -> None:
        stop.set()
        raise RuntimeError("an ERROR event")

    await run_to_the_end(live, stop, waits)
    assert waits == []
    assert caplog.messages == ["kopf has failed while ending"]


async def test_a_signal_that_comes_between_two_lives_is_heeded() -> None:
    waits = Waits()
    waits.signal_in = 2
    ends = iter([RuntimeError("an ERROR event")] * 9)
    await run_to_the_end(lives(ends), asyncio.Event(), waits)
    assert waits == [1, 2]
