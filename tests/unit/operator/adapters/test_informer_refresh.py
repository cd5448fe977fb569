"""A refresh of the informer: a list that is new enough, whatever the watch says."""

from collections.abc import Awaitable, Callable

import pytest
from trainingjob_operator.adapters import informer as module

from tests.support.watches import HANG, Script, page, pod, running

Until = Callable[[Callable[[], object]], Awaitable[None]]


@pytest.fixture(autouse=True)
def _quick_retries(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "RETRY_BASE_SECONDS", 0.001)


async def test_a_refresh_lists_anew_though_the_watch_says_nothing(until: Until) -> None:
    script = Script(lists=[page(7), page(9, pod("a", "x", "Running"))], watches=[[HANG], [HANG]])
    async with running(script) as watched:
        await until(lambda: script.asked == ["list first", "watch 7"])
        await watched.informer.refresh(0.0)
        assert watched.informer.by_index("x") == (("a", "x", "Running"),)
        await until(lambda: script.asked[2:] == ["list first", "watch 9"])


async def test_a_refresh_is_content_with_a_list_that_is_new_enough(until: Until) -> None:
    script = Script(lists=[page(7)], watches=[[HANG]])
    async with running(script) as watched:
        await until(lambda: len(script.asked) == 2)
        await watched.informer.refresh(60.0)
        assert script.asked == ["list first", "watch 7"]


async def test_a_refresh_waits_for_a_server_that_is_away(until: Until) -> None:
    script = Script(
        lists=[page(7), OSError("away"), page(9, pod("a", "x", "Running"))], watches=[[HANG]]
    )
    async with running(script) as watched:
        await until(lambda: len(script.asked) == 2)
        await watched.informer.refresh(0.0)
        assert watched.informer.by_index("x") == (("a", "x", "Running"),)
