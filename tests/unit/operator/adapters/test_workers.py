"""Workers over the queue: what was urgent stays so, and how they end."""

import asyncio

import pytest
from trainingjob_operator.adapters.workqueue import WorkQueue

from tests.unit.operator.adapters.conftest import Clock


class Held:
    """A handler whose work ends when it may."""

    def __init__(self) -> None:
        self.begun: asyncio.Queue[str] = asyncio.Queue()
        self.may_end = asyncio.Event()

    async def handle(self, key: str) -> None:
        self.begun.put_nowait(key)
        await self.may_end.wait()


async def test_what_was_urgent_comes_again_as_such(queue: WorkQueue, clock: Clock) -> None:
    handled: asyncio.Queue[str] = asyncio.Queue()

    async def handle(key: str) -> float | None:
        handled.put_nowait(key)
        return 5 if clock.now == 0 else None

    queue.add("end", urgent=True)
    workers = asyncio.create_task(queue.run_workers(1, handle))
    async with asyncio.timeout(30):
        assert await handled.get() == "end"
        queue.add_after("start", 1)
        queue.add_after("another", 2)
        clock.now = 5.0
        queue.release_due()
        assert [await handled.get() for _ in range(3)] == ["end", "start", "another"]
    workers.cancel()


async def test_what_is_urgent_has_workers_for_itself(queue: WorkQueue) -> None:
    held = Held()
    workers = asyncio.create_task(queue.run_workers(1, held.handle))
    for key in ("start", "another"):
        queue.add(key)
    async with asyncio.timeout(30):
        assert await held.begun.get() == "start"
        for key in ("end", "another end"):
            queue.add(key, urgent=True)
        assert [await held.begun.get() for _ in range(2)] == ["end", "another end"]
        assert held.begun.empty(), "no second start at the same time"
        held.may_end.set()
        assert await held.begun.get() == "another"
    workers.cancel()


async def test_drain_waits_for_what_is_under_way_and_begins_nothing(queue: WorkQueue) -> None:
    held = Held()
    workers = asyncio.create_task(queue.run_workers(1, held.handle))
    for key in ("a", "b"):
        queue.add(key)
    async with asyncio.timeout(30):
        assert await held.begun.get() == "a"
        drained = asyncio.create_task(queue.drain(5))
        await asyncio.sleep(0)
        assert not drained.done()
        held.may_end.set()
        await drained
    workers.cancel()
    await asyncio.gather(workers, return_exceptions=True)
    assert held.begun.empty()


async def test_drain_does_not_wait_for_ever(
    queue: WorkQueue, caplog: pytest.LogCaptureFixture
) -> None:
    queue.add("slow")
    await queue.get()
    await queue.drain(0.01)
    assert "not done after 0.01 s: slow" in caplog.text


async def test_the_third_failure_in_a_row_is_reported_once(
    queue: WorkQueue, caplog: pytest.LogCaptureFixture
) -> None:
    outcomes = ["bad"] * 5 + ["good"] + ["bad"] * 3
    reported: list[tuple[int, str, str]] = []

    async def handle(_: str) -> None:
        if outcomes.pop(0) == "bad":
            raise ValueError("no such field")

    async def report(key: str, error: Exception) -> None:
        reported.append((len(outcomes), key, repr(error)))
        raise OSError("nobody listens")

    workers = asyncio.create_task(queue.run_workers(1, handle, report))
    async with asyncio.timeout(30):
        for left in range(len(outcomes) - 1, -1, -1):
            queue.add("job")
            while len(outcomes) > left or len(queue):  # noqa: ASYNC110 - no event of its own
                await asyncio.sleep(0)
    workers.cancel()
    assert reported == [
        (6, "job", "ValueError('no such field')"),
        (0, "job", "ValueError('no such field')"),
    ]
    assert caplog.text.count("cannot report the failures of job") == 2
