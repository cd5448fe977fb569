import asyncio
import logging
from collections import Counter
from collections.abc import Awaitable, Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st
from trainingjob_operator.adapters.workqueue import WorkQueue

from tests.unit.operator.adapters.conftest import Clock


async def taken(queue: WorkQueue) -> list[str]:
    """Take all that is ready, as a worker that is done at once."""
    queue.release_due()
    keys = []
    while len(queue):
        keys.append(await queue.get())
        queue.done(keys[-1])
    return keys


async def test_repeats_are_merged_and_order_is_kept(queue: WorkQueue) -> None:
    for key in ("a", "b", "a"):
        queue.add(key)
    assert len(queue) == 2
    assert await taken(queue) == ["a", "b"]


async def test_key_added_while_worked_on_comes_again_after_done(queue: WorkQueue) -> None:
    queue.add("a")
    assert await queue.get() == "a"
    queue.add("a")
    queue.add("a")
    assert len(queue) == 0
    queue.done("a")
    assert await taken(queue) == ["a"]


async def test_of_several_delays_the_earliest_counts(queue: WorkQueue, clock: Clock) -> None:
    queue.add_after("a", 10)
    queue.add_after("a", 5)
    queue.add_after("a", 20)
    seen = {}
    for clock.now in (4.9, 5.0, 10.0, 20.0):
        seen[clock.now] = await taken(queue)
    assert seen == {4.9: [], 5.0: ["a"], 10.0: [], 20.0: []}


async def test_a_delay_is_over_when_the_key_is_taken_before(queue: WorkQueue, clock: Clock) -> None:
    queue.add_after("a", 5)
    queue.add("a")
    assert await taken(queue) == ["a"]
    clock.now = 5.0
    assert await taken(queue) == []


async def test_of_two_delays_with_the_same_end_the_first_counts(
    queue: WorkQueue, clock: Clock
) -> None:
    queue.add_after("a", 5)
    queue.add_after("b", 5, urgent=True)
    queue.add_after("b", 5)
    clock.now = 5.0
    assert await taken(queue) == ["b", "a"]


@pytest.mark.parametrize("urgent_first", [True, False])
async def test_of_two_delays_one_is_urgent_and_so_is_the_earlier_end(
    queue: WorkQueue, clock: Clock, urgent_first: bool
) -> None:
    queue.add_after("ordinary", 4)
    queue.add_after("end", 5, urgent=urgent_first)
    queue.add_after("end", 6, urgent=not urgent_first)
    clock.now = 5.0
    assert await taken(queue) == ["end", "ordinary"]


async def test_delay_that_is_over_is_no_delay(queue: WorkQueue) -> None:
    queue.add_after("a", 0)
    queue.add_after("b", -1)
    assert await taken(queue) == ["a", "b"]


async def test_delay_of_failures_doubles_to_a_minute_until_forgotten(clock: Clock) -> None:
    bounds: list[tuple[float, float]] = []

    def draw(low: float, high: float) -> float:
        bounds.append((low, high))
        return high

    queue = WorkQueue(clock, draw)
    for _ in range(12):
        queue.add_rate_limited("a")
        clock.now += 60
        assert await taken(queue) == ["a"]
    queue.forget("a")
    queue.add_rate_limited("a")
    upper = [0.1, 0.2, 0.4, 0.8, 1.6, 3.2, 6.4, 12.8, 25.6, 51.2, 60.0, 60.0, 0.1]
    assert bounds == [(high / 2, high) for high in upper]


async def test_waiting_worker_wakes_when_a_delay_ends() -> None:
    queue = WorkQueue()
    queue.add_after("a", 0.01)
    async with asyncio.timeout(30):
        assert await queue.get() == "a"


async def run_until(
    queue: WorkQueue, handle: Callable[[str], Awaitable[float | None]], finished: asyncio.Event
) -> None:
    workers = asyncio.create_task(queue.run_workers(2, handle))
    async with asyncio.timeout(30):
        await finished.wait()
    workers.cancel()
    await asyncio.gather(workers, return_exceptions=True)


async def test_handler_gets_the_key_again_after_the_seconds_it_returns() -> None:
    queue, calls, finished = WorkQueue(), Counter[str](), asyncio.Event()

    async def handle(key: str) -> float | None:
        calls[key] += 1
        if calls[key] == 3:
            finished.set()
            return None
        return 0.01

    queue.add("a")
    await run_until(queue, handle, finished)
    assert calls == {"a": 3}


async def test_what_was_urgent_about_a_delay_stays_so(queue: WorkQueue, clock: Clock) -> None:
    finished = asyncio.Event()

    async def handle(_: str) -> float | None:
        finished.set()
        return 3.0

    queue.add_after("a", 5, urgent=True)
    queue.add("a")
    await run_until(queue, handle, finished)
    clock.now = 3.0
    async with asyncio.timeout(30):
        assert await queue.get(only_urgent=True) == "a"


async def test_failing_handler_is_logged_with_its_key_and_called_again(
    caplog: pytest.LogCaptureFixture,
) -> None:
    queue, finished, calls = WorkQueue(uniform=lambda *_: 0.001), asyncio.Event(), Counter[str]()

    async def handle(key: str) -> float | None:
        calls[key] += 1
        if calls[key] < 3:
            raise ValueError("broken")
        finished.set()
        return None

    queue.add("namespace/job")
    with caplog.at_level(logging.ERROR):
        await run_until(queue, handle, finished)
    assert [record.getMessage() for record in caplog.records] == [
        "work on namespace/job failed, retrying later"
    ] * 2
    assert "ValueError: broken" in caplog.text


async def test_handler_that_asks_for_back_off_gets_longer_and_longer_delays() -> None:
    bounds: list[float] = []

    def draw(_: float, high: float) -> float:
        bounds.append(high)
        return 0.001

    queue, finished = WorkQueue(uniform=draw), asyncio.Event()

    async def handle(key: str) -> float | None:
        if len(bounds) in (3, 4):  # once it succeeds, and the next failure is a first one
            queue.add_after(key, 0.001)
            bounds.append(0.0)
        elif len(bounds) < 6:
            queue.add_rate_limited(key)
        else:
            finished.set()
        return None

    queue.add("a")
    await run_until(queue, handle, finished)
    assert bounds == [0.1, 0.2, 0.4, 0.0, 0.0, 0.1]


async def test_work_that_is_cancelled_is_left_for_later_workers() -> None:
    queue, started, finished = WorkQueue(), asyncio.Event(), asyncio.Event()

    async def hang(_: str) -> float | None:
        started.set()
        await asyncio.Event().wait()
        return None

    async def finish(key: str) -> float | None:
        assert key == "a"
        finished.set()
        return None

    queue.add("a")
    await run_until(queue, hang, started)
    assert len(queue) == 1
    await run_until(queue, finish, finished)


class Workers:
    """Slow workers that check that no key is worked on twice at once."""

    def __init__(self) -> None:
        self.clock = Clock()
        self.queue = WorkQueue(self.clock)
        self.asked = Counter[str]()
        self.handled = Counter[str]()
        self.failing: set[str] = set()
        self._running: set[str] = set()
        self._task: asyncio.Task[None] | None = None

    async def handle(self, key: str) -> float | None:
        assert key not in self._running
        self._running.add(key)
        seen = self.asked[key]
        try:
            await asyncio.sleep(0)
            await asyncio.sleep(0)
            if key in self.failing:
                self.failing.discard(key)
                raise ValueError(key)
            self.handled[key] = max(self.handled[key], seen)
        finally:
            self._running.discard(key)
        return None

    async def act(self, action: str, key: str, count: int) -> None:
        match action:
            case "add":
                self.asked[key] += 1
                self.queue.add(key)
            case "add urgent":
                self.asked[key] += 1
                self.queue.add(key, urgent=True)
            case "add later":
                self.asked[key] += 1
                self.queue.add_after(key, 3.0, urgent=count > 2)
            case "fail once":
                self.failing.add(key)
            case "work":
                await self.work(turns=count, seconds=1.0)
            case "restart":
                await self.stop()
                self.start(count)

    async def work(self, *, turns: int, seconds: float) -> None:
        self.clock.now += seconds
        self.queue.release_due()
        for _ in range(turns):
            await asyncio.sleep(0)

    def start(self, count: int) -> None:
        self._task = asyncio.create_task(self.queue.run_workers(count, self.handle))

    async def stop(self) -> None:
        assert self._task is not None
        assert not self._task.done()
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)


ACTIONS = st.lists(
    st.tuples(
        st.sampled_from(["add", "add urgent", "add later", "fail once", "work", "restart"]),
        st.sampled_from("abc"),
        st.integers(1, 4),
    ),
    max_size=40,
)


@given(ACTIONS)
async def test_never_two_at_once_for_a_key_and_no_add_is_lost(
    actions: list[tuple[str, str, int]],
) -> None:
    """Random adds against workers that are slow, fail, and are stopped and started again."""
    workers = Workers()
    workers.start(2)
    for action in actions:
        await workers.act(*action)
    for _ in range(5):  # each key fails once at most, and is then due again within a minute
        await workers.work(turns=30, seconds=60.0)
    await workers.stop()
    assert workers.handled == workers.asked
