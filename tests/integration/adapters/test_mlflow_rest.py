"""The MLflow adapter against the real server: what we rely on, and what it says of errors."""

import asyncio
import uuid
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

import aiohttp
import pytest
from trainingjob_operator.adapters.mlflow_rest import (
    Credentials,
    MlflowApi,
    MlflowError,
    RunInfo,
)
from trainingjob_operator.adapters.mlflow_rest.api import POINTS_PER_PAGE
from trainingjob_operator.core.contract import TAG_UID

Calls = list[tuple[str, str]]


@pytest.fixture
def calls() -> Calls:
    return []


@pytest.fixture
async def server(mlflow_server: str, calls: Calls) -> AsyncIterator[MlflowApi]:
    client = MlflowApi(
        mlflow_server, Credentials(), lambda *call: calls.append(call[:2]), timeout=60
    )
    yield client
    await client.close()


@pytest.fixture
async def experiment(server: MlflowApi) -> str:
    return await server.experiment_id(f"experiment-{uuid.uuid4()}")


async def post(server: MlflowApi, endpoint: str, body: dict[str, Any]) -> Any:
    """Do to the server what a user or a trainer does."""
    url = f"{server.uri}/api/2.0/mlflow/{endpoint}"
    async with aiohttp.ClientSession() as session, session.post(url, json=body) as response:
        assert response.status == 200, await response.text()
        return await response.json()


async def test_experiment_is_created_once_and_found_after(server: MlflowApi) -> None:
    name = f"shared-{uuid.uuid4()}"
    at_once = await asyncio.gather(*(server.experiment_id(name) for _ in range(4)))
    assert len(set(at_once)) == 1
    assert await server.experiment_id(name) == at_once[0]


async def test_deleted_experiment_names_the_remedy(
    server: MlflowApi,
) -> None:
    name = f"deleted-{uuid.uuid4()}"
    experiment = await server.experiment_id(name)
    await post(server, "experiments/delete", {"experiment_id": experiment})
    with pytest.raises(MlflowError, match="mlflow experiments restore") as raised:
        await server.experiment_id(name)
    assert (raised.value.code, raised.value.retryable) == ("EXPERIMENT_DELETED", False)


async def test_a_new_run_is_running_and_carries_its_tags(
    server: MlflowApi, experiment: str
) -> None:
    run = await server.create_run(experiment, "mnist", 1_700_000_000_000, {TAG_UID: "a", "x": "y"})
    assert run == RunInfo(
        run_id=run.run_id,
        experiment_id=experiment,
        status="RUNNING",
        start_time_ms=1_700_000_000_000,
        end_time_ms=None,
        lifecycle_stage="active",
        tags={TAG_UID: "a", "x": "y", "mlflow.runName": "mnist"},
        metrics={},
    )
    assert await server.get_run(run.run_id) == run


async def test_runs_of_a_job_are_found_by_uid_oldest_first(
    server: MlflowApi, experiment: str
) -> None:
    newer = await server.create_run(experiment, "job", 2_000, {TAG_UID: "wanted"})
    older = await server.create_run(experiment, "job", 1_000, {TAG_UID: "wanted"})
    await server.create_run(experiment, "job", 500, {TAG_UID: "another"})
    assert await server.find_runs(experiment, "wanted") == [older, newer]
    assert await server.find_runs(experiment, "unknown") == []


async def test_deleted_run_is_not_found_and_cannot_be_updated_but_read(
    server: MlflowApi, experiment: str
) -> None:
    run = await server.create_run(experiment, "job", 1_000, {TAG_UID: "gone"})
    await post(server, "runs/delete", {"run_id": run.run_id})
    assert await server.find_runs(experiment, "gone") == []
    polled = await server.runs_by_id([experiment], [run.run_id])
    assert polled[run.run_id].lifecycle_stage == "deleted"
    assert (await server.get_run(run.run_id)).lifecycle_stage == "deleted"
    with pytest.raises(MlflowError) as raised:
        await server.set_status(run.run_id, "FAILED", 2_000)
    assert (raised.value.status, raised.value.retryable) == (400, False)


async def test_the_runs_of_a_deleted_experiment_are_deleted_and_come_back_with_it(
    server: MlflowApi,
) -> None:
    experiment = await server.experiment_id(f"gone-{uuid.uuid4()}")
    run = await server.create_run(experiment, "job", 1_000, {})
    assert experiment in await server.experiment_ids()
    await post(server, "experiments/delete", {"experiment_id": experiment})
    assert experiment not in await server.experiment_ids()
    polled = await server.runs_by_id([experiment], [run.run_id])
    assert polled[run.run_id].lifecycle_stage == "deleted"
    await post(server, "experiments/restore", {"experiment_id": experiment})
    polled = await server.runs_by_id([experiment], [run.run_id])
    assert polled[run.run_id].lifecycle_stage == "active"


async def test_the_newest_point_of_a_metric_is_found_behind_one_of_a_higher_step(
    server: MlflowApi, experiment: str
) -> None:
    run = await server.create_run(experiment, "job", 1_000, {})
    points = [
        {"key": "progress/step", "value": step, "timestamp": time, "step": step}
        for step, time in ((40, 2_000), (1, 3_000), (2, 4_000))
    ]
    await post(server, "runs/log-batch", {"run_id": run.run_id, "metrics": points})
    found = (await server.runs_by_id([experiment], [run.run_id]))[run.run_id]
    assert (found.metrics, found.metric_times) == ({"progress/step": 40}, {"progress/step": 2_000})
    assert await server.point_times(run.run_id, "progress/step", None) == (
        [2_000, 3_000, 4_000],
        None,
    )
    assert await server.point_times(run.run_id, "unknown", None) == ([], None)


async def test_a_long_history_comes_in_pages_the_oldest_points_first(
    server: MlflowApi, experiment: str
) -> None:
    run = await server.create_run(experiment, "job", 1_000, {})
    for start in range(0, POINTS_PER_PAGE + 1_000, 1_000):
        points = [
            {"key": "progress/step", "value": n, "timestamp": n, "step": n % 7}
            for n in range(start, start + 1_000)
        ]
        await post(server, "runs/log-batch", {"run_id": run.run_id, "metrics": points})
    times, token = await server.point_times(run.run_id, "progress/step", None)
    assert times == list(range(POINTS_PER_PAGE))
    assert token is not None
    rest = await server.point_times(run.run_id, "progress/step", token)
    assert rest == (list(range(POINTS_PER_PAGE, POINTS_PER_PAGE + 1_000)), None)


async def test_status_goes_both_ways_and_the_end_time_with_it(
    server: MlflowApi, experiment: str
) -> None:
    run = await server.create_run(experiment, "job", 1_000, {})
    steps: list[tuple[str, int | None, int | None]] = [
        ("SCHEDULED", None, None),
        ("RUNNING", None, None),
        ("FINISHED", 5_000, 5_000),
        ("FAILED", None, 5_000),  # None keeps the end time
        ("RUNNING", 0, None),  # 0 clears it
        ("FINISHED", None, None),  # the status alone sets none
        ("KILLED", 6_000, 6_000),
    ]
    for status, written, expected in steps:
        answered = await server.set_status(run.run_id, status, written)
        assert answered == replace(run, status=status, end_time_ms=expected, tags={})
        stored = await server.get_run(run.run_id)
        assert (stored.status, stored.end_time_ms) == (status, expected)


async def test_unknown_status_changes_nothing_and_is_an_error(
    server: MlflowApi, experiment: str
) -> None:
    run = await server.create_run(experiment, "job", 1_000, {})
    with pytest.raises(MlflowError) as raised:
        await server.set_status(run.run_id, "SUCCEEDED", None)
    assert raised.value.code == "STATUS_NOT_SET"
    assert (await server.get_run(run.run_id)).status == "RUNNING"


async def test_tags_are_written_over(server: MlflowApi, experiment: str) -> None:
    run = await server.create_run(experiment, "job", 1_000, {"attempt": "0"})
    await server.set_tags(run.run_id, {"attempt": "1", "more": "text", "none": ""})
    assert (await server.get_run(run.run_id)).tags == {
        "attempt": "1",
        "more": "text",
        "none": "",
        "mlflow.runName": "job",
    }


async def test_latest_metrics_come_with_a_search_but_for_those_that_are_no_numbers(
    server: MlflowApi, experiment: str
) -> None:
    run = await server.create_run(experiment, "job", 1_000, {})
    values = {"percentage": 40.5, "loss": "NaN", "ratio": "Infinity"}
    metrics = [
        {"key": key, "value": value, "timestamp": 1_000, "step": 1} for key, value in values.items()
    ]
    await post(server, "runs/log-batch", {"run_id": run.run_id, "metrics": metrics})
    found = (await server.runs_by_id([experiment], [run.run_id]))[run.run_id].metrics
    # MLflow's SQL stores keep an infinity as the largest number.
    assert found.pop("ratio") > 1e300
    assert found == {"percentage": 40.5}


async def test_runs_of_several_experiments_are_polled_in_one_call(
    server: MlflowApi, experiment: str, calls: Calls
) -> None:
    another = await server.experiment_id(f"another-{uuid.uuid4()}")
    runs = await asyncio.gather(
        *(server.create_run((experiment, another)[n % 2], f"job-{n}", n, {}) for n in range(100))
    )
    calls.clear()
    found = await server.runs_by_id(
        [experiment, another, "987654321"], [run.run_id for run in runs]
    )
    assert found == {run.run_id: run for run in runs}
    assert calls == [("runs/search", "ok")]


async def test_open_runs_are_found_by_tag_and_start(server: MlflowApi, experiment: str) -> None:
    for name, start, tags in (
        ("old", 1_000, {"mlflow.parentRunId": "a"}),
        ("other", 3_000, {"another": "a"}),
        ("wanted", 3_000, {"mlflow.parentRunId": "a"}),
        ("wanted-too", 3_000, {"mlflow.parentRunId": "b"}),
        ("ended", 3_000, {"mlflow.parentRunId": "a"}),
    ):
        run = await server.create_run(experiment, name, start, tags)
        if name == "ended":
            await server.set_status(run.run_id, "FINISHED", 4_000)
    since = "attributes.status = 'RUNNING' AND attributes.start_time >= 2000"
    for clause, names in (
        ("= 'a'", {"wanted"}),
        ("LIKE '%'", {"wanted", "wanted-too"}),
    ):
        found = await server.all_runs(
            [experiment], f"{since} AND tags.`mlflow.parentRunId` {clause}"
        )
        assert {run.tags["mlflow.runName"] for run in found} == names


async def test_a_pending_model_of_a_run_is_found_and_failed(
    server: MlflowApi, experiment: str
) -> None:
    run = await server.create_run(experiment, "job", 1_000, {})
    another = await server.create_run(experiment, "job", 1_000, {})
    made = []
    for source in (run, run, another):
        body = {"experiment_id": experiment, "source_run_id": source.run_id}
        made.append((await post(server, "logged-models", body))["model"]["info"]["model_id"])
    found = await server.models_of([experiment], [run.run_id])
    assert {(one.model_id, one.pending) for one in found} == {(made[0], True), (made[1], True)}
    await server.fail_model(made[0])
    found = await server.models_of([experiment], [run.run_id, another.run_id])
    assert {one.model_id: one.pending for one in found} == {
        made[0]: False,
        made[1]: True,
        made[2]: True,
    }


async def test_search_goes_page_by_page(server: MlflowApi, experiment: str) -> None:
    for number in range(5):
        await server.create_run(experiment, f"job-{number}", 1_000 + number, {"kind": "page"})
    pages: list[list[int]] = []
    token: str | None = None
    while True:
        runs, token = await server.search_runs([experiment], "tags.kind = 'page'", 2, token)
        pages.append([run.start_time_ms for run in runs])
        if token is None:
            break
    assert pages == [[1_004, 1_003], [1_002, 1_001], [1_000]]


async def test_unknown_run_is_refused_for_good(server: MlflowApi, calls: Calls) -> None:
    with pytest.raises(MlflowError) as raised:
        await server.get_run("0" * 32)
    assert (raised.value.status, raised.value.code, raised.value.retryable) == (
        404,
        "RESOURCE_DOES_NOT_EXIST",
        False,
    )
    assert calls == [("runs/get", "refused")]
