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


async def test_the_end_of_an_ordinary_job_takes_few_calls_and_the_status_is_the_last_write() -> (
    None
):
    fake = FakeMlflow()
    fake.add("f00d", **OWN)
    async with fake.serve() as server:
        await brought_about(server, ended())
    first, *together, last = [endpoint for endpoint, _ in fake.log]
    assert (first, last) == ("runs/get", "runs/update")
    assert sorted(together) == [
        "experiments/search",
        "logged-models/search",
        "logged-models/search",
        "runs/log-batch",
        "runs/search",
        "runs/search",
    ]
    assert fake.status("f00d") == "FINISHED"


@pytest.mark.parametrize("status", ["FINISHED", "FAILED", "KILLED"])
async def test_what_the_pods_opened_ends_like_the_job_and_nothing_else_does(status: str) -> None:
    fake = FakeMlflow()
    fake.add("f00d", **OWN)
    opened = {
        "trial": {"mlflow__parentRunId": "f00d"},
        "below": {"mlflow__parentRunId": "trial"},
        "second": {"trainingjob__opened_by": "u-1"},
        "below-second": {"mlflow__parentRunId": "second"},
    }
    others = {
        "stranger": {"mlflow__parentRunId": "elsewhere"},
        "another-job": {"mlflow__parentRunId": "f00d", "trainingjob__uid": "u-2"},
        "of-another-job": {"trainingjob__opened_by": "u-2"},
    }
    for run_id, tags in {**opened, **others}.items():
        fake.add(run_id, **tags)["info"]["start_time"] = CREATED_MS + 1
    fake.add("done", status="FAILED", mlflow__parentRunId="f00d")
    for name, run_id, state in (
        ("m-1", "f00d", "LOGGED_MODEL_PENDING"),
        ("m-2", "trial", "LOGGED_MODEL_PENDING"),
        ("m-3", "f00d", "LOGGED_MODEL_READY"),
        ("m-4", "stranger", "LOGGED_MODEL_PENDING"),
    ):
        fake.models[name] = {"info": {"model_id": name, "source_run_id": run_id, "status": state}}

    async with fake.serve() as server:
        await brought_about(server, ended(status))

    assert {run_id: fake.status(run_id) for run_id in fake.runs} == {
        "f00d": status,
        **dict.fromkeys(opened, status),
        **dict.fromkeys(others, "RUNNING"),
        "done": "FAILED",
    }
    assert fake.runs["trial"]["info"]["end_time"] == int(at(20).timestamp() * 1000)
    assert {name: model["info"]["status"] for name, model in fake.models.items()} == {
        "m-1": "LOGGED_MODEL_UPLOAD_FAILED",
        "m-2": "LOGGED_MODEL_UPLOAD_FAILED",
        "m-3": "LOGGED_MODEL_READY",
        "m-4": "LOGGED_MODEL_PENDING",
    }


async def test_an_mlflow_without_models_and_a_run_that_cannot_be_closed_hold_no_end_up() -> None:
    fake = FakeMlflow()
    fake.add("f00d", **OWN)
    fake.add("trial", mlflow__parentRunId="f00d")["info"]["start_time"] = CREATED_MS

    def intercept(endpoint: str, body: dict[str, Any]) -> web.Response | None:
        if endpoint == "logged-models/search":
            return web.Response(status=404, text="<html>")
        return refuse(403, "PERMISSION_DENIED") if body.get("run_id") == "trial" else None

    fake.intercept = intercept
    async with fake.serve() as server:
        record = await brought_about(server, ended())
    assert (record.settled, fake.status("f00d"), fake.status("trial")) == (
        True,
        "FINISHED",
        "RUNNING",
    )


@pytest.mark.parametrize(
    ("refused", "answer", "before"),
    [
        ("runs/log-batch", refuse(400, "INVALID_PARAMETER_VALUE"), []),
        ("runs/log-batch", refuse(503, "TEMPORARILY_UNAVAILABLE"), ["RUNNING"] * 3),
        ("runs/search", refuse(500, "INTERNAL_ERROR"), ["RUNNING"] * 3),
        ("logged-models/search", web.json_response([]), ["RUNNING"] * 3),
    ],
    ids=["tags-for-good", "tags-for-now", "leftovers", "models"],
)
async def test_an_end_waits_for_what_comes_before_it_a_few_times_only(
    refused: str, answer: web.Response, before: list[str]
) -> None:
    fake = FakeMlflow()
    fake.add("f00d", **OWN)
    body, status = answer.body, answer.status
    fake.intercept = lambda endpoint, _: (
        web.Response(status=status, body=body) if endpoint == refused else None
    )
    seen: list[str] = []
    wanted = ended()
    record = RunRecord(wanted, 0.0)
    async with fake.serve() as server:
        writer = RunWriter(server)
        for _ in range(4):
            try:
                await writer.bring_about(record, wanted, new=False)
            except MlflowError:
                seen.append(fake.status("f00d"))
    assert fake.status("f00d") == "FINISHED"
    assert record.confirmed == "FINISHED"
    assert seen[:3] == before or seen == ["FINISHED"] * 4
    # Tags that are refused stay a problem, which the condition tells.
    assert (seen[-1:] == ["FINISHED"]) == (refused == "runs/log-batch")


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


async def test_a_run_that_has_only_the_uid_is_left_alone_and_told() -> None:
    fake = FakeMlflow()
    fake.add("planted", trainingjob__uid="u-1")["info"]["start_time"] = 10**17
    async with fake.serve() as server:
        record = await brought_about(server, ended(identity=None))
    assert fake.status("planted") == "RUNNING"
    assert fake.status("run1") == "FINISHED"
    assert record.view().foreign == (
        "not of this job, though they have its uid as a tag: planted. Cluster, namespace, name "
        "or start time are others; the operator leaves them alone"
    )
