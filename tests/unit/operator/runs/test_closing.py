"""After a run's end: what else the job's pods opened is closed, and its Job waits for that."""

import asyncio
from typing import Any

import pytest
from aiohttp import web
from trainingjob_operator.adapters.mlflow_rest import MlflowApi
from trainingjob_operator.runs import closing as module
from trainingjob_operator.runs.closing import Closing
from trainingjob_operator.runs.record import RunRecord
from trainingjob_operator.runs.table import RunTable

from tests.support.jobs import at
from tests.support.mlflow_server import FakeMlflow, refuse
from tests.support.plans import intent

CREATED_MS = int(at(0).timestamp() * 1000)
OWN = {"trainingjob__uid": "u-1", "trainingjob__name": "mnist"}


async def closed(server: MlflowApi, status: str = "FINISHED") -> list[str]:
    """Wait until the Job of an ended run may go; returns the errors that were counted."""
    wanted = intent(status, ended_at=at(20))
    record, done, errors = RunRecord(wanted, 0.0), asyncio.Event(), list[str]()
    record.confirm(wanted, await server.get_run("f00d"), 0.0)

    def note(_key: str, /, *, urgent: bool = False) -> None:
        assert not urgent
        done.set()

    after = Closing(server, note, errors.append)
    running = asyncio.create_task(after.run())
    while record.closed is None:
        await asyncio.sleep(0)
        after.begin("ml/mnist", record)
    assert not record.view().closed
    await done.wait()
    assert record.view().closed
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    return errors


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
        await closed(server, status)

    assert {run_id: fake.status(run_id) for run_id in fake.runs} == {
        "f00d": "RUNNING",
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


async def test_an_mlflow_without_models_and_a_run_that_cannot_be_closed_hold_no_job() -> None:
    fake = FakeMlflow()
    fake.add("f00d", **OWN)
    fake.add("trial", mlflow__parentRunId="f00d")["info"]["start_time"] = CREATED_MS

    def intercept(endpoint: str, body: dict[str, Any]) -> web.Response | None:
        if endpoint == "logged-models/search":
            return web.Response(status=404, text="<html>")
        return refuse(403, "PERMISSION_DENIED") if body.get("status") else None

    fake.intercept = intercept
    async with fake.serve() as server:
        assert await closed(server) == []
    assert fake.status("trial") == "RUNNING"


@pytest.mark.parametrize(
    ("refused", "answer", "tries", "errors"),
    [
        ("runs/search", refuse(500, "INTERNAL_ERROR"), 3, []),
        ("runs/search", refuse(403, "PERMISSION_DENIED"), 1, []),
        ("logged-models/search", web.json_response([]), 3, []),
    ],
    ids=["for-now", "for-good", "no-answer-of-mlflow"],
)
async def test_a_search_that_fails_holds_the_job_for_a_few_tries_only(
    monkeypatch: pytest.MonkeyPatch,
    refused: str,
    answer: web.Response,
    tries: int,
    errors: list[str],
) -> None:
    monkeypatch.setattr(module, "AGAIN_SECONDS", (0.0, 0.0))
    fake = FakeMlflow()
    fake.add("f00d", **OWN)
    body, status = answer.body, answer.status
    fake.intercept = lambda endpoint, _: (
        web.Response(status=status, body=body) if endpoint == refused else None
    )
    async with fake.serve() as server:
        assert await closed(server) == errors
    # Each try asks for runs by two tags, or for models of the run and by a tag.
    assert fake.calls[refused] == 2 * tries


async def test_a_fault_of_ours_is_counted_and_holds_no_job() -> None:
    class Broken(MlflowApi):
        async def newest_experiment_ids(self) -> list[str]:
            raise KeyError("experiments")

    fake = FakeMlflow()
    fake.add("f00d", **OWN)
    async with fake.serve() as server:
        server.__class__ = Broken
        assert await closed(server) == ["runs"]


@pytest.mark.parametrize(("closed", "finished"), [(None, True), (False, False), (True, True)])
def test_a_run_is_kept_until_what_its_pods_opened_is_closed(
    closed: bool | None, finished: bool
) -> None:
    record = RunRecord(intent("FINISHED", ended_at=at(20)), 0.0, closed=closed)
    record.confirmed = record.intent.status
    table = RunTable({"ml/mnist": record})
    assert table.finished(60.0) == []
    assert table.finished(61.0) == (["ml/mnist"] if finished else [])
