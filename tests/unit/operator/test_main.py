"""The process outlives a kopf that gives up."""

from collections.abc import Callable, Coroutine, Iterator
from typing import Any

from trainingjob_operator.__main__ import run_to_the_end


def lives(ends: Iterator[Exception | None]) -> Callable[[], Coroutine[Any, Any, None]]:
    async def live() -> None:
        end = next(ends)
        if end is not None:
            raise end

    return live


def test_a_failed_kopf_begins_anew_after_a_growing_wait() -> None:
    ends = iter([RuntimeError("410")] * 7 + [None])
    waits: list[float] = []
    run_to_the_end(lives(ends), waits.append)
    assert waits == [1, 2, 4, 8, 16, 30, 30]
    assert next(ends, "none left") == "none left"
