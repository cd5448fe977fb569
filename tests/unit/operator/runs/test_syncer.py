"""What the tracking keeps of jobs that are gone, and what it tells of an MLflow that is away."""

import asyncio
import logging
from dataclasses import replace
from typing import NoReturn, cast

import pytest
from trainingjob_operator.adapters.mlflow_rest import MlflowApi, MlflowError, RunInfo
from trainingjob_operator.core.intent import RunView
from trainingjob_operator.runs.record import RunRecord
from trainingjob_operator.runs.router import RunRouter
from trainingjob_operator.runs.syncer import RunSyncer
from trainingjob_operator.runs.writer import RunWriter

from tests.support.jobs import at
from tests.support.plans import intent

KEY = "ml/mnist"
RUN = RunInfo("f00d", "7", "FINISHED", 0, 1, "active", {}, {})


class Unused:
    """A server that nobody may call."""


def tracking() -> RunSyncer:
    def unexpected(*told: str, urgent: bool = False) -> NoReturn:
        raise AssertionError(told, urgent)

    return RunSyncer(cast("MlflowApi", Unused()), unexpected, unexpected, poll_seconds=5)


def confirmed(status: str, ended: bool) -> RunSyncer:
    made = tracking()
    wanted = intent(status, ended_at=at(20) if ended else None)
    made.want(KEY, wanted)
    made._tracked[KEY].confirm(wanted, RUN, now=0.0)
    return made


def test_a_told_end_is_still_looked_at_when_its_job_is_gone() -> None:
    made = confirmed("FINISHED", ended=True)
    made.forget(KEY)
    assert made.view(KEY, "u-1").status == "FINISHED"


def test_a_run_without_an_end_is_forgotten_with_its_job() -> None:
    made = confirmed("RUNNING", ended=False)
    made.forget(KEY)
    assert made.view(KEY, "u-1") == RunView()


def test_a_new_job_of_the_same_name_sees_nothing_of_the_old_run() -> None:
    assert confirmed("FINISHED", ended=True).view(KEY, "u-2") == RunView()


def test_many_runs_are_polled_less_often() -> None:
    made = tracking()
    between = []
    for count in (1, 250, 1000):
        for number in range(count):
            made.want(f"ml/{number}", intent("RUNNING"))
        between.append(made.seconds_between_polls())
    assert between == [5.0, 5.0, 20.0]


class Away:
    """A server that does not answer the first polls."""

    def __init__(self, polls: int) -> None:
        self.left = polls

    async def runs_by_id(self, _experiment: str, _ids: list[str]) -> dict[str, RunInfo]:
        self.left -= 1
        if self.left >= 0:
            raise MlflowError(None, "CONNECTION_FAILED", "no route", retryable=True)
        return {RUN.run_id: replace(RUN, status="RUNNING")}


@pytest.mark.parametrize(
    ("away", "told", "logged"),
    [
        (1, [], []),
        (
            4,
            [KEY, KEY],
            [
                "MLflow does not tell of experiment 7: CONNECTION_FAILED: no route",
                "MLflow answers again about experiment 7",
            ],
        ),
    ],
    ids=["a single poll", "an outage"],
)
async def test_an_outage_that_polls_see_is_told_once_with_its_end(
    away: int, told: list[str], logged: list[str], caplog: pytest.LogCaptureFixture
) -> None:
    changed: list[str] = []

    def note(key: str, *, urgent: bool = False) -> None:
        assert not urgent
        changed.append(key)

    server = cast("MlflowApi", Away(away))
    made = RunSyncer(server, note, lambda *_: None, poll_seconds=5)
    made.want(KEY, intent("RUNNING"))
    made._tracked[KEY].confirm(intent("RUNNING"), RUN, now=-1.0)

    with caplog.at_level(logging.INFO):
        for _ in range(away + 2):
            await made._poll_experiment("7", [KEY])

    assert changed == told
    assert [record.getMessage() for record in caplog.records] == logged


class Hanging:
    """A server that answers nothing until it is told to give up."""

    def __init__(self) -> None:
        self.given_up = asyncio.Event()

    async def experiment_id(self, _name: str) -> str:
        await self.given_up.wait()
        raise MlflowError(None, "TIMEOUT", "no answer", retryable=True)


class Answering:
    """A server that makes each run."""

    async def experiment_id(self, _name: str) -> str:
        return "7"

    async def find_runs(self, _experiment: str, _uid: str) -> list[RunInfo]:
        return []

    async def create_run(self, _experiment: str, name: str, *_: object) -> RunInfo:
        return replace(RUN, run_id=name, status="RUNNING")

    async def set_status(self, run_id: str, status: str, _end: int) -> RunInfo:
        return replace(RUN, run_id=run_id, status=status)

    async def set_tags(self, _run_id: str, _tags: dict[str, str]) -> None:
        pass


async def test_a_server_that_hangs_holds_up_no_other_one_and_its_own_jobs_once() -> None:
    hanging, answering = Hanging(), Answering()
    servers = {"http://hangs:5000": hanging, "http://answers:5000": answering}
    told: asyncio.Queue[str] = asyncio.Queue()

    def note(key: str, *, urgent: bool = False) -> None:
        told.put_nowait(f"{key}{' urgent' if urgent else ''}")

    def wants(number: int, uri: str) -> None:
        wanted = intent("SCHEDULED", uid=f"u-{number}", tracking_uri=uri, identity=None)
        made.want(f"ml/{number}", wanted)

    made = RunRouter(
        lambda uri: cast("MlflowApi", servers[uri]), note, lambda *_: None, poll_seconds=5
    )
    for number in range(20):
        wants(number, "http://hangs:5000")
    running = asyncio.create_task(made.run(1))
    async with asyncio.timeout(60):
        wants(20, "http://answers:5000")
        assert await told.get() == "ml/20"
        assert made.view("ml/20", "u-20").status == "SCHEDULED"

        hanging.given_up.set()
        assert sorted([await told.get() for _ in range(20)]) == sorted(
            f"ml/{number}" for number in range(20)
        )
        wants(21, "http://hangs:5000")
        assert made.view("ml/21", "u-21").problem == "TIMEOUT: no answer"
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)


class Refusing:
    """A server that takes every status, and tags from the second time on."""

    def __init__(self) -> None:
        self.calls: list[str] = []

    async def set_status(self, run_id: str, status: str, end: int) -> RunInfo:
        self.calls.append(f"status {status}")
        return replace(RUN, run_id=run_id, status=status, end_time_ms=end)

    async def set_tags(self, run_id: str, _tags: dict[str, str]) -> None:
        self.calls.append(f"tags of {run_id}")
        if len(self.calls) == 2:
            raise MlflowError(429, "RESOURCE_EXHAUSTED", "slow down", retryable=True)

    async def get_run(self, run_id: str) -> RunInfo:
        self.calls.append(f"metrics of {run_id}")
        return replace(RUN, run_id=run_id, metrics={"train/loss": 0.5, "system/cpu": 1.0})


async def test_a_status_that_was_written_is_not_written_again_for_the_tags() -> None:
    server = Refusing()
    wanted = intent("FINISHED", ended_at=at(20))
    tracked = RunRecord(
        wanted, 0.0, info=replace(RUN, status="RUNNING", metrics={"train/loss": 1.0})
    )
    writer = RunWriter(cast("MlflowApi", server))

    with pytest.raises(MlflowError):
        await writer.bring_about(tracked, wanted, new=False)
    await writer.bring_about(tracked, wanted, new=False)

    assert server.calls == [
        "status FINISHED",
        "tags of f00d",
        "tags of f00d",
        "metrics of f00d",
    ]
    assert tracked.view().metrics == (("train/loss", 0.5),), "those of the end"
