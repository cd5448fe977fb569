"""A training whose model is not in MLflow has not succeeded; the next attempt only logs it."""

import json
import re
from collections.abc import Callable

import pytest
from mlflow.entities import LoggedModel

from tests.support.faults import Answer, FaultyServer, Request
from tests.support.pod_process import Trainer
from tests.support.processes import MlflowServer

ARGUMENTS = ("wine", "--epochs", "2")
AGAIN = 203
Script = Callable[[Request, Callable[[], Answer]], Answer]


def absent(request: Request, forward: Callable[[], Answer]) -> Answer:
    """The server is away from the first call on that is about a model."""
    absent.gone = absent.gone or "logged-models" in request.path  # type: ignore[attr-defined]  # set below
    return Answer(503) if absent.gone else forward()  # type: ignore[attr-defined]  # set below


def slow(request: Request, forward: Callable[[], Answer]) -> Answer:
    """No upload of a model ends in time."""
    if request.method == "PUT" and "/models/" in request.path:
        return Answer(503)
    return forward()


def no_large_files(request: Request, forward: Callable[[], Answer]) -> Answer:
    """A proxy between refuses the model."""
    if request.method == "PUT" and "/models/" in request.path:
        return Answer(413)
    return forward()


@pytest.mark.parametrize(
    ("script", "seconds", "code", "message"),
    [
        (absent, 6, AGAIN, r"model is not in MLflow after 6 s; the weights are in the newest "),
        (slow, 0.1, AGAIN, r"model is not in MLflow after 0 s; the weights are in the newest "),
        (slow, 6, AGAIN, r"model is not in MLflow after 6 s; the weights are in the newest "),
        (no_large_files, 240, 1, r"model is not in MLflow: .*413.*; the weights are in the new"),
    ],
    ids=["absent", "while it is saved", "slow", "failing"],
)
def test_the_next_attempt_logs_the_model_and_trains_nothing(
    trainer: Trainer,
    mlflow_server: MlflowServer,
    run_id: str,
    script: Script,
    seconds: float,
    code: int,
    message: str,
) -> None:
    absent.gone = False  # type: ignore[attr-defined]  # of this test

    def models() -> list[LoggedModel]:
        return mlflow_server.client.search_logged_models(
            ["0"], filter_string=f"source_run_id = '{run_id}'"
        )

    with FaultyServer(script, mlflow_server.uri) as proxy:
        job = {"TRAININGJOB_MLFLOW_RUN_ID": run_id, "MLFLOW_TRACKING_URI": proxy.uri}
        ended, output = trainer.run(*ARGUMENTS, "--model-seconds", str(seconds), **job)

        assert ended == code, output
        termination = json.loads(trainer.termination_log.read_text())
        assert termination["reason"] == "ModelNotLogged"
        assert re.match(message, termination["message"]), termination
        assert "READY" not in {model.status for model in models()}

    job["MLFLOW_TRACKING_URI"] = mlflow_server.uri
    ended, output = trainer.run(*ARGUMENTS, **job)

    assert ended == 0, output
    assert "epoch 2/2" not in output
    assert "model" in {model.name for model in models()}
    assert {model.status for model in models()} == {"READY"}


def test_the_other_ranks_wait_for_the_model_and_end_as_the_first(
    trainer: Trainer, mlflow_server: MlflowServer, run_id: str
) -> None:
    absent.gone = False  # type: ignore[attr-defined]  # of this test
    with FaultyServer(absent, mlflow_server.uri) as proxy:
        ended, output = trainer.run(
            *(*ARGUMENTS, "--model-seconds", "6"),
            TRAININGJOB_MLFLOW_RUN_ID=run_id,
            MLFLOW_TRACKING_URI=proxy.uri,
            PET_NPROC_PER_NODE="2",
        )

    assert ended == AGAIN, output
    for rank in range(2):
        assert f"ERROR [rank {rank}] model is not in MLflow after 6 s" in output
