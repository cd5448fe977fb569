"""Where the operator looks on a real server: workspaces, experiments, models of a job's pods."""

import json
import uuid
from collections.abc import AsyncIterator

import mlflow
import pytest
from trainingjob_operator.adapters.mlflow_rest import Credentials, MlflowApi, MlflowError
from trainingjob_operator.core.contract import TAG_OPENED_BY

from tests.support.processes import MlflowServer


@pytest.fixture
async def server(mlflow_server: str) -> AsyncIterator[MlflowApi]:
    client = MlflowApi(mlflow_server, Credentials(), lambda *_: None, timeout=60)
    yield client
    await client.close()


async def test_a_server_without_workspaces_lists_none_and_takes_none(server: MlflowApi) -> None:
    assert await server.workspaces() == []
    with pytest.raises(MlflowError, match="workspaces are not enabled on this server"):
        await server.in_workspace("vision").experiment_id("x")


async def test_workspaces_keep_experiments_of_one_name_apart(
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    shared = MlflowServer(tmp_path_factory.mktemp("places"), "--enable-workspaces")
    shared.start()
    try:
        shared.client.create_workspace("vision")
        client = MlflowApi(shared.uri, Credentials(), lambda *_: None, timeout=60)
        vision = client.in_workspace("vision")
        assert sorted(await client.workspaces()) == ["default", "vision"]
        ids = [await one.experiment_id("same") for one in (client, vision)]
        assert len(set(ids)) == 2
        assert ids[0] in await client.newest_experiment_ids()
        assert ids[0] not in await vision.newest_experiment_ids()
        with pytest.raises(MlflowError, match="speech") as unknown:
            await client.in_workspace("speech").experiment_id("same")
        assert unknown.value.retryable is False
        await client.close()
    finally:
        shared.end()


async def test_the_newest_experiments_come_without_deleted_ones(
    server: MlflowApi, mlflow_process: MlflowServer
) -> None:
    made = [await server.experiment_id(f"place-{uuid.uuid4()}") for _ in range(3)]
    mlflow_process.client.delete_experiment(made[1])
    found = await server.newest_experiment_ids()
    assert [one for one in found if one in made] == [made[2], made[0]]


async def test_a_model_that_a_pod_makes_is_found_by_the_job(
    server: MlflowApi, mlflow_server: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """MLflow's fluent API gives it the tags of MLFLOW_RUN_CONTEXT, whatever run is open."""
    monkeypatch.setenv("MLFLOW_RUN_CONTEXT", json.dumps({TAG_OPENED_BY: "u-1"}))
    monkeypatch.setenv("MLFLOW_TRACKING_URI", mlflow_server)
    experiment = await server.experiment_id(f"models-{uuid.uuid4()}")
    model = mlflow.initialize_logged_model(name="net", experiment_id=experiment)

    for comparison in ("= 'u-1'", "LIKE '%'"):
        found = await server.models_with_tag([experiment], TAG_OPENED_BY, comparison, 0)
        assert [(one.model_id, one.pending, one.opened_by) for one in found] == [
            (model.model_id, True, "u-1")
        ]
    later = model.creation_timestamp + 1
    assert await server.models_with_tag([experiment], TAG_OPENED_BY, "= 'u-1'", later) == []
    assert await server.models_with_tag([experiment], TAG_OPENED_BY, "= 'u-2'", 0) == []
