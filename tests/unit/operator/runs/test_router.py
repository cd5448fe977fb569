"""Whatever servers answer: no loop ends, every job gets its view, and all is right in the end."""

import asyncio
import json
from collections.abc import Callable
from typing import Any

from aiohttp import web
from hypothesis import given, settings
from hypothesis import strategies as st
from trainingjob_operator.adapters.mlflow_rest import Credentials, MlflowApi, RunInfo
from trainingjob_operator.core.intent import RunIdentity, RunView
from trainingjob_operator.runs.router import RunRouter

from tests.support.hostile import ANSWERS
from tests.support.jobs import at
from tests.support.mlflow_server import FakeMlflow
from tests.support.plans import intent

JOBS = 3
WAIT_SECONDS = 60


class Kept:
    """A router over one server that polls all the time."""

    def __init__(self, server: MlflowApi) -> None:
        self.errors: list[str] = []
        self.news = asyncio.Event()
        self.router = RunRouter(
            lambda *_: server,
            self.note,
            lambda *_: None,
            self.errors.append,
            poll_seconds=0.01,
        )

    def note(self, _key: str, *, urgent: bool = False) -> None:
        assert isinstance(urgent, bool)
        self.news.set()

    def want(self, number: int, status: str, **more: Any) -> None:
        tags = (("trainingjob.uid", f"u-{number}"),)
        self.router.want(f"ml/{number}", intent(status, uid=f"u-{number}", tags=tags, **more))

    def views(self) -> list[Any]:
        return [self.router.view(f"ml/{number}", f"u-{number}") for number in range(JOBS)]

    async def until(self, reached: Callable[[Any], bool]) -> None:
        async with asyncio.timeout(WAIT_SECONDS):
            while not all(reached(view) for view in self.views()):
                await self.news.wait()
                self.news.clear()


def shows(view: RunView, status: str) -> bool:
    """Whether MLflow has the status; one that only pretended to make a run has lost it."""
    return view.deleted or (view.status == status and view.problem is None)


async def through(answers: list[tuple[int, Any]], known: bool) -> tuple[FakeMlflow, Kept]:
    """Jobs start and end while the server answers anything; then it is itself again."""
    fake = FakeMlflow()
    identities = [RunIdentity("7", f"own{n}") if known else None for n in range(JOBS)]
    if known:
        for number in range(JOBS):
            fake.add(f"own{number}")
    left = iter(answers)

    def intercept(_endpoint: str, _body: Any) -> web.Response | None:
        drawn = next(left, None)
        if drawn is None:
            return None
        status, value = drawn
        return web.Response(status=status, body=json.dumps(value).encode())

    fake.intercept = intercept
    async with fake.serve() as server:
        kept = Kept(server)
        running = asyncio.create_task(kept.router.run(2))
        for number, identity in enumerate(identities):
            kept.want(number, "RUNNING", identity=identity)
        await kept.until(lambda view: view.identity is not None or view.problem is not None)
        await kept.until(lambda view: shows(view, "RUNNING"))
        for number, identity in enumerate(identities):
            kept.want(number, "FINISHED", ended_at=at(20), identity=identity)
        await kept.until(lambda view: shows(view, "FINISHED"))
        assert not running.done()
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
    return fake, kept


@given(
    answers=st.lists(
        st.tuples(st.sampled_from([200, 200, 200, 400, 404, 429, 500]), ANSWERS), max_size=6
    ),
    known=st.booleans(),
)
@settings(max_examples=15)
def test_no_answer_ends_a_loop_and_every_job_gets_its_view(
    answers: list[tuple[int, Any]], known: bool
) -> None:
    fake, kept = asyncio.run(through(answers, known))
    assert kept.errors == []
    if known:
        assert [fake.status(f"own{number}") for number in range(JOBS)] == ["FINISHED"] * JOBS


class Broken(MlflowApi):
    """A client with an error of our own in it, for one of two jobs."""

    def __init__(self) -> None:
        super().__init__("http://broken:5000", Credentials(), lambda *_: None)

    async def experiment_id(self, name: str) -> str:
        raise AttributeError(name)

    async def get_run(self, run_id: str) -> RunInfo:
        raise RecursionError(run_id)


async def test_an_error_of_our_own_is_the_problem_of_its_job_and_is_counted() -> None:
    kept = Kept(Broken())
    running = asyncio.create_task(kept.router.run(1))
    kept.want(0, "SCHEDULED", identity=None)
    kept.want(1, "SCHEDULED")
    kept.want(2, "SCHEDULED")
    await kept.until(lambda view: view.problem is not None)
    assert {view.problem for view in kept.views()} == {
        "AttributeError in the operator, see its log",
        "RecursionError in the operator, see its log",
    }
    assert "runs" in kept.errors
    assert not running.done()
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
