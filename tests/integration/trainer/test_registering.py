"""The best model becomes a version of a registered model, or the job has not succeeded."""

from collections.abc import Callable

import pytest
import torch
from torch import nn
from trainingjob_agent.contract import Contract
from trainingjob_trainer.model_logging import (
    ModelNotLoggedError,
    NotRegisteredError,
    TrainedModel,
    log_model,
)
from trainingjob_trainer.services import Services

from tests.support.faults import Answer, FaultyServer, Request
from tests.support.pod_process import Trainer
from tests.support.processes import MlflowServer

EXAMPLE = torch.rand(2, 1, 4, 4)


def trained(name: str) -> TrainedModel:
    return TrainedModel("model", nn.Flatten(), 7, registered_as=name)


def sources(server: MlflowServer, name: str) -> list[tuple[str, str | None, str | None]]:
    found = server.client.search_model_versions(f"name = '{name}'")
    return [(str(one.version), one.run_id, one.source) for one in found]


def test_a_model_is_one_version_however_often_it_is_logged(
    mlflow_server: MlflowServer, run_id: str
) -> None:
    client, other = mlflow_server.client, mlflow_server.create_run()

    uris = [log_model(client, run, trained("often"), EXAMPLE) for run in (run_id, run_id, other)]

    assert sources(mlflow_server, "often") == [("2", other, uris[2]), ("1", run_id, uris[0])]
    assert uris[0] == uris[1]


def test_bare_weights_cannot_be_registered_and_stay_in_the_run(
    mlflow_server: MlflowServer, run_id: str
) -> None:
    with pytest.raises(NotRegisteredError, match="only its weights could be saved, which cannot"):
        log_model(mlflow_server.client, run_id, trained("bare"), example=None)

    artifacts = mlflow_server.client.list_artifacts(run_id, "model")
    assert [one.path for one in artifacts] == ["model/state_dict.pt"]


PROBLEM = "model is not in MLflow: INVALID_PARAMETER_VALUE: why; no checkpoint has the weights"


@pytest.mark.parametrize(
    ("failure", "problem"),
    [(Answer(503), None), (Answer.error(400, "INVALID_PARAMETER_VALUE"), PROBLEM)],
    ids=["outage", "refusal"],
)
def test_an_outage_of_the_registry_is_outlasted_and_a_refusal_is_said(
    mlflow_server: MlflowServer, run_id: str, failure: Answer, problem: str | None
) -> None:
    left = 3

    def answer(request: Request, forward: Callable[[], Answer]) -> Answer:
        nonlocal left
        if left and request.path.endswith("/model-versions/create"):
            left -= 1
            return failure
        return forward()

    name = f"answered-{failure.status}"
    problems = []
    with FaultyServer(answer, mlflow_server.uri) as proxy:
        ours = Services(Contract(tracking_uri=proxy.uri, run_id=run_id, monitor_enabled=False))
        ours.start()
        try:
            ours.log_models(
                [trained(name)], EXAMPLE, lambda: False, checkpoints=None, within_seconds=240
            )
        except ModelNotLoggedError as error:
            problems.append((str(error), error.again))
        ours.close(60)

    assert problems == ([] if problem is None else [(problem, False)])
    assert len(sources(mlflow_server, name)) == (1 if problem is None else 0)


def test_the_best_model_of_a_training_is_the_one(
    trainer: Trainer, mlflow_server: MlflowServer, run_id: str
) -> None:
    """The highest loss is the first epoch's."""
    code, output = trainer.run(
        *("wine", "--epochs", "2", "--best-mode", "max", "--registered-model-name", "wine"),
        MLFLOW_TRACKING_URI=mlflow_server.uri,
        TRAININGJOB_MLFLOW_RUN_ID=run_id,
    )

    assert code == 0, output
    [best] = mlflow_server.client.search_logged_models(
        ["0"], f"source_run_id = '{run_id}' AND name = 'best_model'"
    )
    assert sources(mlflow_server, "wine") == [("1", run_id, best.model_uri)]
