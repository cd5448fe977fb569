"""What the tracking keeps of jobs that are gone, and what it reports of an MLflow that is away."""

import asyncio
from collections.abc import Callable
from functools import partial
from typing import NoReturn

import pytest
from trainingjob_operator.adapters.mlflow_rest import Credentials, MlflowApi, MlflowError, RunInfo
from trainingjob_operator.core.intent import RunView
from trainingjob_operator.runs import syncer as module
from trainingjob_operator.runs.router import RunRouter
from trainingjob_operator.runs.syncer import RunSyncer

from tests.support.jobs import at
from tests.support.mlflow_server import FakeMlflow
from tests.support.plans import intent

KEY = "ml/mnist"
RUN = RunInfo("f00d", "7", "FINISHED", 0, 1, "active", {}, {})


def tracking() -> RunSyncer:
    """One that calls nobody."""

    def unexpected(*reported: str, urgent: bool = False) -> NoReturn:
        raise AssertionError(reported, urgent)

    server = MlflowApi("http://unused:5000", Credentials(), lambda *call: unexpected(str(call)))
    return RunSyncer(server, unexpected, unexpected, unexpected, poll_seconds=5)


def confirmed(status: str, ended: bool) -> RunSyncer:
    made = tracking()
    wanted = intent(status, ended_at=at(20) if ended else None)
    made.want(KEY, wanted)
    made._table.records[KEY].confirm(wanted, RUN, now=0.0)
    return made


def test_a_written_end_is_still_checked_when_its_job_is_gone() -> None:
    made = confirmed("FINISHED", ended=True)
    made.forget(KEY)
    assert made.view(KEY, "u-1").status == "FINISHED"


def test_an_end_that_is_not_written_yet_outlives_its_job() -> None:
    made = tracking()
    made.want(KEY, intent("FINISHED", ended_at=at(20)))
    made.forget(KEY)
    assert KEY in made


def test_a_run_without_an_end_is_forgotten_with_its_job() -> None:
    made = confirmed("RUNNING", ended=False)
    made.forget(KEY)
    assert made.view(KEY, "u-1") == RunView()


def test_a_new_job_of_the_same_name_sees_nothing_of_the_old_run() -> None:
    assert confirmed("FINISHED", ended=True).view(KEY, "u-2") == RunView()


class Hanging(MlflowApi):
    """A client that answers nothing until the test lets it give up."""

    def __init__(self) -> None:
        super().__init__("http://hangs:5000", Credentials(), lambda *_: None)
        self.given_up = asyncio.Event()

    async def experiment_id(self, name: str) -> str:  # noqa: ARG002 - of any experiment
        await self.given_up.wait()
        raise MlflowError(None, "TIMEOUT", "no answer", retryable=True)


async def test_a_server_that_hangs_holds_up_no_other_one_and_its_own_jobs_once() -> None:
    hanging = Hanging()
    reported: asyncio.Queue[str] = asyncio.Queue()

    def note(key: str, *, urgent: bool = False) -> None:
        reported.put_nowait(f"{key}{' urgent' if urgent else ''}")

    def wants(number: int, uri: str) -> None:
        wanted = intent("SCHEDULED", uid=f"u-{number}", tracking_uri=uri, identity=None)
        made.want(f"ml/{number}", wanted)

    async with FakeMlflow().serve() as answering:
        servers = {hanging.uri: hanging, answering.uri: answering}
        made = RunRouter(
            lambda uri, _workspace: servers[uri],
            note,
            lambda *_: None,
            lambda _: None,
            poll_seconds=5,
        )
        for number in range(20):
            wants(number, hanging.uri)
        running = asyncio.create_task(made.run(1))
        async with asyncio.timeout(60):
            wants(20, answering.uri)
            assert await reported.get() == "ml/20"
            assert made.view("ml/20", "u-20").status == "SCHEDULED"

            hanging.given_up.set()
            assert sorted([await reported.get() for _ in range(20)]) == sorted(
                f"ml/{number}" for number in range(20)
            )
            wants(21, hanging.uri)
            assert made.view("ml/21", "u-21").problem == "TIMEOUT: no answer"
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)


class Watched:
    """A tracking over a server, with what it says of the job."""

    def __init__(self, server: MlflowApi) -> None:
        self.news = asyncio.Event()
        self.syncer = RunSyncer(server, self.note, lambda *_: None, lambda _: None, poll_seconds=60)

    def note(self, _key: str, /, *, urgent: bool = False) -> None:
        assert isinstance(urgent, bool)
        self.news.set()

    async def until(self, reached: Callable[[RunView], bool]) -> None:
        async with asyncio.timeout(60):
            while not reached(self.syncer.view(KEY, "u-1")):
                await self.news.wait()
                self.news.clear()


def has_status(status: str, view: RunView) -> bool:
    return view.status == status


@pytest.mark.parametrize(("quick", "updates"), [(True, 1), (False, 3)])
async def test_a_start_that_takes_its_time_is_written_as_scheduled(
    monkeypatch: pytest.MonkeyPatch, quick: bool, updates: int
) -> None:
    monkeypatch.setattr(module, "SCHEDULED_AFTER", 60.0 if quick else 0.01)
    fake = FakeMlflow()
    async with fake.serve() as server:
        watched = Watched(server)
        running = asyncio.create_task(watched.syncer.run(1))
        watched.syncer.want(KEY, intent("SCHEDULED", identity=None, starting=True), new=True)
        await watched.until(lambda view: view.identity is not None)
        if not quick:
            await watched.until(lambda view: view.status == "SCHEDULED")
        for status, more in (("RUNNING", {}), ("FINISHED", {"ended_at": at(20)})):
            watched.syncer.want(KEY, intent(status, identity=None, **more))
            await watched.until(partial(has_status, status))
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
    assert (fake.calls["runs/create"], fake.calls["runs/update"]) == (1, updates)
    assert fake.status("run0") == "FINISHED"
