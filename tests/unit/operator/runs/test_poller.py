"""What polls see: outages, runs and experiments that MLflow fails on, deletions, other writers."""

import asyncio
import json
import logging
from datetime import datetime
from typing import Any

import pytest
from aiohttp import web
from trainingjob_operator.adapters.mlflow_rest import MlflowApi, RunInfo
from trainingjob_operator.core.intent import StepWatch
from trainingjob_operator.runs.poller import RunPoller
from trainingjob_operator.runs.record import RunRecord
from trainingjob_operator.runs.table import RunTable

from tests.support.jobs import at
from tests.support.mlflow_server import FakeMlflow, refuse
from tests.support.plans import intent


class Polled:
    """A poller of runs that are RUNNING, with all that it reports; `second` is its clock."""

    def __init__(self, server: MlflowApi) -> None:
        self.second = 0
        self.changed: list[str] = []
        self.synced: list[str] = []
        self.corrected: list[tuple[str, str]] = []
        self.errors: list[str] = []
        self.table = RunTable()
        self.poller = RunPoller(
            server,
            self.table,
            self.synced.append,
            self.note,
            lambda was, now: self.corrected.append((was, now)),
            self.errors.append,
            poll_seconds=5.0,
            clock=lambda: float(self.second),
            now=self.now,
        )

    def note(self, key: str, *, urgent: bool = False) -> None:
        assert not urgent
        self.changed.append(key)

    def now(self) -> datetime:
        return at(self.second)

    def follow(self, fake: FakeMlflow, count: int, **more: Any) -> None:
        """Runs r0, r1, … of jobs of the same names, each in an experiment of its own."""
        for number in range(count):
            run_id, experiment = f"r{number}", str(number)
            fake.add(run_id, experiment=experiment)
            info = RunInfo(run_id, experiment, "RUNNING", 0, None, "active", {}, {})
            record = RunRecord(intent("RUNNING", **more), -1.0)
            record.confirm(record.intent, info, -1.0)
            self.table.records[run_id] = record

    async def poll(self, times: int) -> None:
        for _ in range(times):
            self.second += 5
            await self.poller.poll()

    def problems(self) -> dict[str, str]:
        return {key: one.problem for key, one in self.table.records.items() if one.problem}

    def answering(self) -> list[str]:
        return [key for key, one in self.table.records.items() if one.answering_since]


async def test_one_search_serves_the_runs_of_all_experiments_in_parts() -> None:
    fake = FakeMlflow()
    async with fake.serve() as server:
        polled = Polled(server)
        polled.follow(fake, 250)
        await polled.poll(3)
    assert [len(body["experiment_ids"]) for _, body in fake.log] == [100, 100, 50]
    assert fake.calls == {"runs/search": 3}
    assert len(polled.answering()) == 250


def seconds_for_all(poller: RunPoller, runs: int) -> float:
    return poller.pause() * max(1, -(-runs // 100))


async def test_many_runs_are_polled_less_often_but_a_part_of_them_every_few_seconds() -> None:
    fake = FakeMlflow()
    async with fake.serve() as server:
        polled = Polled(server)
        reported = []
        for count in (1, 250, 1000, 5000):
            polled.follow(fake, count)
            reported.append((polled.poller.pause(), seconds_for_all(polled.poller, count)))
    assert reported == [(5.0, 5.0), (5 / 3, 5.0), (2.0, 20.0), (2.0, 100.0)]


async def test_a_server_that_hangs_is_reported_for_all_runs_by_the_second_poll() -> None:
    """From the start of the hang: up to a pause, two time-outs of 10 s, and a second."""
    fake = FakeMlflow()
    async with fake.serve(patience=0.05) as server:
        polled = Polled(server)
        polled.follow(fake, 250)
        fake.hangs = True
        await polled.poll(1)
        assert (polled.problems(), polled.poller.pause()) == ({}, 1.0)
        await polled.poll(1)
        assert set(polled.problems()) == set(polled.table.records)
        assert polled.table.silent is not None
        assert polled.poller.pause() == 5 / 3
        assert len(polled.changed) == 250
        assert len(fake.log) == 2


@pytest.mark.parametrize(
    ("away", "reported", "logged"),
    [(1, [], []), (4, ["r0", "r0"], ["does not answer", "answers again"])],
    ids=["a single poll", "an outage"],
)
async def test_an_outage_is_reported_once_with_its_end(
    away: int, reported: list[str], logged: list[str], caplog: pytest.LogCaptureFixture
) -> None:
    fake = FakeMlflow()
    async with fake.serve(patience=0.05) as server:
        polled = Polled(server)
        polled.follow(fake, 1)
        fake.hangs = True
        with caplog.at_level(logging.INFO, "trainingjob_operator"):
            await polled.poll(away)
            fake.hangs = False
            await polled.poll(2)
    assert polled.changed == reported
    assert polled.problems() == {}
    messages = [one.getMessage() for one in caplog.records if "MLflow" in one.getMessage()]
    assert len(messages) == len(logged)
    assert all(part in message for part, message in zip(logged, messages, strict=True))


def failing_on(runs: set[str], status: int) -> Any:
    """Searches with these runs fail, as where MLflow cannot put a value of theirs into JSON."""

    def intercept(_endpoint: str, body: dict[str, Any]) -> web.Response | None:
        asked = {f"'{run_id}'" for run_id in runs}
        met = any(one in body.get("filter", "") for one in asked)
        return refuse(status, "INTERNAL_ERROR") if met else None

    return intercept


async def test_runs_that_mlflow_fails_on_hide_no_others_and_are_asked_for_alone() -> None:
    fake = FakeMlflow()
    async with fake.serve() as server:
        polled = Polled(server)
        polled.follow(fake, 100)
        fake.intercept = failing_on({"r7"}, 500)
        await polled.poll(1)
        assert "r7" not in polled.answering()
        assert len(polled.answering()) == 99
        fake.log.clear()
        await polled.poll(1)
        assert len(fake.log) == 2
        assert set(polled.problems()) == {"r7"}
        fake.intercept = lambda *_: None
        await polled.poll(2)
        assert polled.problems() == {}
        fake.log.clear()
        await polled.poll(1)
        assert len(fake.log) == 1


@pytest.mark.parametrize(("status", "calls"), [(500, 21), (503, 1), (403, 1), (429, 1)])
async def test_a_server_that_fails_on_everything_is_not_asked_for_each_run(
    status: int, calls: int
) -> None:
    fake = FakeMlflow()
    async with fake.serve() as server:
        polled = Polled(server)
        polled.follow(fake, 100)
        fake.intercept = lambda *_: refuse(status, "INTERNAL_ERROR")
        for _ in range(5):
            fake.log.clear()
            await polled.poll(1)
            assert len(fake.log) <= calls
        assert set(polled.problems()) == set(polled.table.records)


async def test_a_run_that_a_search_leaves_out_is_gone_only_if_mlflow_says_so() -> None:
    fake = FakeMlflow()
    async with fake.serve() as server:
        polled = Polled(server)
        polled.follow(fake, 2)
        del fake.runs["r0"]
        fake.runs["r1"]["info"]["experiment_id"] = "elsewhere"
        await polled.poll(1)
        assert polled.problems() == {"r0": "run r0 is gone from MLflow for good"}
        fake.intercept = lambda *_: web.json_response({})
        await polled.poll(2)
    assert polled.table.records["r1"].deleted is False
    assert "not as MLflow does" in polled.problems()["r1"]


async def test_the_status_of_another_writer_is_put_right() -> None:
    fake = FakeMlflow()
    async with fake.serve() as server:
        polled = Polled(server)
        polled.follow(fake, 2)
        fake.runs["r0"]["info"]["status"] = "FINISHED"
        fake.runs["r1"]["info"]["status"] = "WONDERFUL"
        await polled.poll(1)
    assert polled.corrected == [("FINISHED", "RUNNING"), ("OTHER", "RUNNING")]
    assert polled.synced == ["r0", "r1"]


HOSTILE_METRICS = json.loads("""[
    {"key": "loss", "value": "NaN", "timestamp": 1700000000000000000, "step": 4611686018427387904},
    {"key": "a\\"'`\\n\\ud83d", "value": 1e999, "timestamp": -1, "step": "9223372036854775807"},
    {"key": null, "value": null, "timestamp": "never"},
    {"value": [], "timestamp": {}},
    null, 7, "metric", []
]""")


async def test_a_warning_of_an_agent_is_taken_in_once_and_other_warnings_are_not() -> None:
    fake = FakeMlflow()
    async with fake.serve() as server:
        polled = Polled(server)
        polled.follow(fake, 2)
        for run_id, warning in (("r0", "NodesNotJoined: alone: 1"), ("r1", "Tired: of it")):
            tag = {"key": "trainingjob.warning", "value": warning}
            fake.runs[run_id]["data"]["tags"].append(tag)
        await polled.poll(2)
    assert polled.changed == ["r0"]
    views = {key: record.view().unjoined for key, record in polled.table.records.items()}
    assert views == {"r0": "alone: 1", "r1": None}


async def test_hostile_metrics_of_one_run_end_no_poll() -> None:
    fake = FakeMlflow()
    async with fake.serve() as server:
        polled = Polled(server)
        polled.follow(fake, 3, watch=StepWatch(at(0), 10))
        fake.runs["r1"]["data"]["metrics"] = HOSTILE_METRICS
        fake.runs["r2"]["data"]["metrics"] = [
            {"key": "progress/step", "value": 3, "timestamp": int(at(1).timestamp() * 1000)}
        ]
        await polled.poll(2)
    steps = [polled.table.records[key].view().steps for key in ("r0", "r1", "r2")]
    assert [one.last if one else "no view" for one in steps] == [None, None, at(1)]
    assert (polled.errors, polled.problems()) == ([], {})


async def test_an_error_of_our_own_stays_with_its_run(caplog: pytest.LogCaptureFixture) -> None:
    fake = FakeMlflow()
    async with fake.serve() as server:
        polled = Polled(server)
        polled.follow(fake, 3)
        failing: Any = None
        polled.table.records["r1"].steps = failing
        polled.table.records["r1"].intent = intent("RUNNING", watch=StepWatch(at(0), 10))
        await polled.poll(1)
    assert polled.errors == ["poll"]
    assert polled.answering() == ["r0", "r1", "r2"]
    assert "Traceback" in caplog.text


class StoppedClock:
    """Fails when it is asked for the first time."""

    def __init__(self) -> None:
        self.asked = 0

    def __call__(self) -> float:
        self.asked += 1
        if self.asked == 1:
            raise OverflowError("the clock stands still")
        return 5.0


async def test_a_poll_that_fails_as_a_whole_is_repeated(caplog: pytest.LogCaptureFixture) -> None:
    fake = FakeMlflow()
    async with fake.serve() as server:
        polled = Polled(server)
        polled.follow(fake, 1)
        made = RunPoller(
            server,
            polled.table,
            polled.synced.append,
            polled.note,
            lambda *_: None,
            polled.errors.append,
            poll_seconds=0.01,
            clock=StoppedClock(),
        )
        running = asyncio.create_task(made.run())
        async with asyncio.timeout(30):
            while not polled.answering():
                await asyncio.wait({running}, timeout=0.01)
        running.cancel()
    assert polled.errors == ["poll"]
    assert "the clock stands still" in caplog.text
