"""What one job's run costs and gets at its end, against a server that keeps runs in memory."""

from dataclasses import replace
from typing import Any

import pytest
from aiohttp import web
from trainingjob_operator.adapters.mlflow_rest import MlflowApi, MlflowError
from trainingjob_operator.core.intent import RunIntent
from trainingjob_operator.runs.record import RunRecord
from trainingjob_operator.runs.writer import RunWriter

from tests.support.jobs import at
from tests.support.mlflow_server import FakeMlflow, refuse
from tests.support.plans import intent

CREATED_MS = int(at(0).timestamp() * 1000)
OWN = {
    "trainingjob__uid": "u-1",
    "trainingjob__name": "mnist",
    "trainingjob__namespace": "ml",
    "trainingjob__cluster": "c-1",
}
OUTCOME = ("trainingjob.outcome", "Succeeded")


def ended(status: str = "FINISHED", **more: Any) -> RunIntent:
    tags = (*intent(status).tags, ("trainingjob.cluster", "c-1"), OUTCOME)
    return replace(intent(status, ended_at=at(20), tags=tags), **more)


async def brought_about(server: MlflowApi, wanted: RunIntent, tries: int = 1) -> RunRecord:
    """The record after some tries, the last of which may not fail."""
    record, writer = RunRecord(wanted, 0.0), RunWriter(server)
    for _ in range(tries - 1):
        with pytest.raises(MlflowError):
            await writer.bring_about(record, wanted, new=False)
    record.confirm(wanted, await writer.bring_about(record, wanted, new=False), 0.0)
    return record


async def test_the_end_of_an_ordinary_job_takes_two_calls_and_the_status_is_the_last() -> None:
    fake = FakeMlflow()
    fake.add("f00d", **OWN)
    async with fake.serve() as server:
        await brought_about(server, ended())
    calls = [endpoint for endpoint, _ in fake.log]
    assert calls == ["runs/get", "runs/log-batch", "runs/update"]
    assert fake.status("f00d") == "FINISHED"


@pytest.mark.parametrize(
    ("answer", "seen"),
    [
        (refuse(400, "INVALID_PARAMETER_VALUE"), ["FINISHED"] * 4),
        (refuse(503, "TEMPORARILY_UNAVAILABLE"), ["RUNNING"] * 3 + ["FINISHED"]),
    ],
    ids=["for-good", "for-now"],
)
async def test_an_end_waits_for_its_tags_a_few_times_only(
    answer: web.Response, seen: list[str]
) -> None:
    """Tags that are refused stay a problem, which the condition shows."""
    fake = FakeMlflow()
    fake.add("f00d", **OWN)
    body, status = answer.body, answer.status
    fake.intercept = lambda endpoint, _: (
        web.Response(status=status, body=body) if endpoint == "runs/log-batch" else None
    )
    wanted = ended()
    record, found = RunRecord(wanted, 0.0), []
    async with fake.serve() as server:
        writer = RunWriter(server)
        for _ in range(4):
            with pytest.raises(MlflowError):
                await writer.bring_about(record, wanted, new=False)
            found.append(fake.status("f00d"))
    assert (found, record.confirmed) == (seen, "FINISHED")


async def test_a_status_that_was_written_is_not_written_again_for_the_tags() -> None:
    fake = FakeMlflow()
    fake.add("f00d", **OWN)
    answers = iter([refuse(429, "RESOURCE_EXHAUSTED")])
    fake.intercept = lambda endpoint, _: (
        next(answers, None) if endpoint == "runs/log-batch" else None
    )
    wanted = intent("RUNNING", tags=(*ended().tags,))
    async with fake.serve() as server:
        await brought_about(server, wanted, tries=2)
    assert fake.calls["runs/update"] == 0, "it was RUNNING already"
    assert fake.calls["runs/log-batch"] == 2


async def test_a_run_for_pods_that_are_about_to_run_is_made_scheduled_by_a_repeat_only() -> None:
    for following, updates in (("RUNNING", 0), ("SCHEDULED", 1)):
        fake, wanted = FakeMlflow(), intent("SCHEDULED", identity=None, starting=True)
        record = RunRecord(wanted, 0.0)
        async with fake.serve() as server:
            writer = RunWriter(server)
            made = await writer.bring_about(record, wanted, new=True)
            assert made is not None
            record.was_made(wanted)
            assert (made.status, record.settled) == ("RUNNING", False)
            assert fake.calls == {"experiments/get-by-name": 1, "runs/create": 1}
            reported = await writer.bring_about(record, intent(following, identity=None), new=False)
        assert reported is not None
        assert (reported.status, fake.calls["runs/update"]) == (following, updates)


FOREIGN = {
    "no-name": {"trainingjob__uid": "u-1"},
    "other-cluster": OWN | {"trainingjob__cluster": "c-2"},
    "other-namespace": OWN | {"trainingjob__namespace": "mine"},
}


async def test_of_two_runs_with_the_uid_the_one_of_the_job_counts_and_not_the_older() -> None:
    fake = FakeMlflow()
    for run_id, tags in FOREIGN.items():
        fake.add(run_id, **tags)["info"]["start_time"] = CREATED_MS
    fake.add("other-start", **OWN)["info"]["start_time"] = CREATED_MS - 1
    fake.add("own", **OWN)["info"]["start_time"] = CREATED_MS
    fake.add("own-too", **OWN)["info"]["start_time"] = CREATED_MS
    async with fake.serve() as server:
        record = await brought_about(server, ended(identity=None))
    assert record.view().identity is not None
    assert {run_id: fake.status(run_id) for run_id in fake.runs} == {
        **dict.fromkeys(FOREIGN, "RUNNING"),
        "other-start": "RUNNING",
        "own": "FINISHED",
        "own-too": "RUNNING",
    }


async def test_a_run_that_has_only_the_uid_is_left_alone_and_reported() -> None:
    fake = FakeMlflow()
    fake.add("planted", trainingjob__uid="u-1")["info"]["start_time"] = 10**17
    async with fake.serve() as server:
        record = await brought_about(server, ended(identity=None))
    assert fake.status("planted") == "RUNNING"
    assert fake.status("run1") == "FINISHED"
    assert record.view().foreign == (
        "not of this job, though they have its uid as a tag: planted. Cluster, namespace, name "
        "or start time differ; the operator does not touch them"
    )
