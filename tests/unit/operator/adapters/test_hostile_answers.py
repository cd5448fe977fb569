"""Whatever a server answers is a value within its bounds or an MlflowError, and nothing else."""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer
from hypothesis import given, settings
from hypothesis import strategies as st
from trainingjob_operator.adapters.mlflow_rest import Credentials, MlflowApi, MlflowError, RunInfo
from trainingjob_operator.adapters.mlflow_rest.transport import BODY_LIMIT
from trainingjob_operator.core import border

from tests.support.hostile import ANSWERS, INFO

Call = Callable[[MlflowApi], Awaitable[Any]]

CALLS: dict[str, Call] = {
    "get_run": lambda server: server.get_run("r"),
    "create_run": lambda server: server.create_run("1", "job", 0, {}),
    "set_status": lambda server: server.set_status("r", "RUNNING", None),
    "set_tags": lambda server: server.set_tags("r", {"a": "b"}),
    "search_runs": lambda server: server.search_runs(["1"], ""),
    "all_runs": lambda server: server.all_runs(["1"], ""),
    "runs_by_id": lambda server: server.runs_by_id(["1"], ["r"]),
    "find_runs": lambda server: server.find_runs("1", "u-1"),
    "experiment_id": lambda server: server.experiment_id("ml"),
    "experiment_ids": lambda server: server.experiment_ids(),
    "point_times": lambda server: server.point_times("r", "loss", None),
    "models_of": lambda server: server.models_of(["1"], ["r"]),
    "fail_model": lambda server: server.fail_model("m"),
}
# Those that MLflow, too, answers with an empty object.
SATISFIED = {
    *("set_tags", "fail_model", "search_runs", "all_runs", "runs_by_id", "find_runs"),
    *("experiment_ids", "point_times", "models_of"),
}


@asynccontextmanager
async def answering(status: int, body: bytes) -> AsyncIterator[MlflowApi]:
    """A client of a server that answers everything with one body."""
    application = web.Application()

    async def handle(_: web.Request) -> web.Response:
        return web.Response(status=status, body=body)

    application.router.add_route("*", "/{path:.*}", handle)
    async with TestServer(application) as listening:
        client = MlflowApi(str(listening.make_url("/")), Credentials(), lambda *_: None)
        try:
            yield client
        finally:
            await client.close()


async def outcomes(status: int, body: bytes) -> dict[str, Any]:
    """What each call gives: its value, or the MlflowError that it raises."""
    found: dict[str, Any] = {}
    async with answering(status, body) as server:
        for name, call in CALLS.items():
            try:
                found[name] = await call(server)
            except MlflowError as error:
                found[name] = error
    return found


BODIES: list[Any] = [
    pytest.param(b"", id="empty"),
    pytest.param(b"<html>hello</html>", id="HTML"),
    pytest.param(b"[]", id="a list"),
    pytest.param(b"null", id="null"),
    pytest.param(b'{"run": null, "runs": null, "experiments": {}, "models": 1, "metrics": ""}'),
    pytest.param(b'{"hello": "world"}', id="another object"),
    pytest.param(b"[" * 10_000, id="deep"),
    pytest.param(b'{"a":' * 10_000 + b"1" + b"}" * 10_000, id="deep objects"),
    pytest.param(b'{"runs": [{"info": ' + b"[" * 900 + b"]" * 900 + b"}]}", id="deep in a run"),
    pytest.param(b'{"a": ' + b"9" * 10_000 + b"}", id="a long number"),
    pytest.param(b"\xff\xfe\x00", id="no Unicode"),
]


@pytest.mark.parametrize("body", BODIES)
async def test_what_mlflow_does_not_answer_is_a_problem_of_the_server(body: bytes) -> None:
    found = await outcomes(200, body)
    for name in ("set_tags", "fail_model"):
        found.pop(name)
    assert {getattr(one, "code", one) for one in found.values()} == {"UNEXPECTED_ANSWER"}
    assert all(one.retryable for one in found.values())


async def test_an_empty_object_is_an_answer_where_mlflow_gives_it() -> None:
    found = await outcomes(200, b"{}")
    raised = {name for name, one in found.items() if isinstance(one, MlflowError)}
    assert raised == CALLS.keys() - SATISFIED


async def test_a_body_without_end_is_read_up_to_a_limit() -> None:
    found = await outcomes_of_one("get_run", 200, b" " * (BODY_LIMIT + 1))
    assert found.code == "UNEXPECTED_ANSWER"


async def outcomes_of_one(name: str, status: int, body: bytes) -> Any:
    async with answering(status, body) as server:
        with pytest.raises(MlflowError) as raised:
            await CALLS[name](server)
        return raised.value


async def test_pages_without_end_are_no_loop_without_end() -> None:
    body = b'{"runs": [], "experiments": [], "models": [], "next_page_token": "again"}'
    found = await outcomes(200, body)
    assert (found["all_runs"], found["experiment_ids"], found["models_of"]) == ([], [], [])


async def test_one_run_with_all_that_is_hostile() -> None:
    run = {
        "info": INFO | {"start_time": 10**17, "end_time": "never"},
        "data": {
            "tags": [{"key": "a"}, {"value": "b"}, {"key": "half", "value": "\ud83d"}, None, []],
            "metrics": [
                {"key": "ns", "value": 1, "timestamp": 1_700_000_000_000_000_000},
                {"key": "nan", "value": "NaN", "timestamp": 5},
                {"key": "'\"\n\N{GRINNING FACE}", "value": 2, "timestamp": "7", "step": 2**62},
                {"key": "none"},
                7,
            ],
        },
    }
    async with answering(200, json.dumps({"run": run}).encode()) as server:
        assert await server.get_run("r") == RunInfo(
            run_id="r",
            experiment_id="1",
            status="RUNNING",
            start_time_ms=0,
            end_time_ms=None,
            lifecycle_stage="active",
            tags={"a": "", "": "", "half": "\N{REPLACEMENT CHARACTER}"},
            metrics={"ns": 1.0, "'\"\n\N{GRINNING FACE}": 2.0},
            metric_times={"nan": 5, "'\"\n\N{GRINNING FACE}": 7},
        )


@given(answer=ANSWERS, status=st.sampled_from([200, 200, 200, 400, 404, 429, 500]))
@settings(max_examples=60)
def test_any_json_is_a_value_within_its_bounds_or_an_mlflow_error(answer: Any, status: int) -> None:
    found = asyncio.run(outcomes(status, json.dumps(answer).encode()))
    for one in found.values():
        if isinstance(one, MlflowError):
            str(one).encode()
        if isinstance(one, RunInfo):
            assert_within_bounds(one)


def assert_within_bounds(run: RunInfo) -> None:
    for ms in (run.start_time_ms, run.end_time_ms or 0, *run.metric_times.values()):
        assert border.instant_of_ms(ms) is not None
    for word in (*run.tags, *run.tags.values(), *run.metrics):
        word.encode()
