"""A model is evaluated without training."""

import re
from pathlib import Path

import pytest

from tests.integration.trainer.attempts import Attempts
from tests.support.pod_process import Trainer
from tests.support.processes import MlflowServer

OPTIONS = ("--epochs", "1", "--batch-size", "6")


def validations(output: str) -> list[str]:
    return re.findall(r"validation (loss \S+)", output)


@pytest.mark.parametrize("kind", ["ddp", "fsdp2"])
def test_two_ranks_find_what_one_found_as_it_trained(tmp_path: Path, kind: str) -> None:
    trained = Attempts(tmp_path, OPTIONS)
    assert trained.run() == [0]
    [expected] = validations(trained.output())
    records = [trained.records(rank) for rank in range(2)]
    files = sorted((tmp_path / "checkpoints").rglob("*"))

    evaluated = Attempts(tmp_path, (*OPTIONS, "--evaluate-only", "--parallel", kind), ranks=2)
    assert evaluated.run() == [0, 0], evaluated.output()

    # The output is that of all attempts, rank by rank.
    assert validations(evaluated.output()) == [expected, expected]
    assert [evaluated.records(rank) for rank in range(2)] == records
    assert sorted((tmp_path / "checkpoints").rglob("*")) == files
    assert (tmp_path / "samples" / "epoch_000.png").exists()


def test_weights_that_are_named_have_precedence_over_a_checkpoint(tmp_path: Path) -> None:
    other = Attempts(tmp_path / "other", (*OPTIONS, "--seed", "1"))
    other.directory.mkdir()
    assert other.run() == [0]
    trained = Attempts(tmp_path / "trained", OPTIONS)
    trained.directory.mkdir()
    assert trained.run() == [0]

    named = ("--evaluate-only", "--initial-weights", str(other.directory / "checkpoints"))
    assert Attempts(trained.directory, (*OPTIONS, *named)).run() == [0]

    [own, evaluated] = validations(trained.output())
    assert [evaluated] == validations(other.output()) != [own]


def test_a_run_of_an_evaluation_has_metrics_and_samples_and_no_model(
    trainer: Trainer, mlflow_server: MlflowServer, run_id: str
) -> None:
    code, output = trainer.run(
        *("wine", "--evaluate-only"),
        MLFLOW_TRACKING_URI=mlflow_server.uri,
        TRAININGJOB_MLFLOW_RUN_ID=run_id,
    )

    assert code == 0, output
    assert "evaluates the model as the task builds it: no --initial-weights given" in output
    client = mlflow_server.client
    metrics = client.get_run(run_id).data.metrics
    assert {name for name in metrics if not name.startswith("system/")} == {
        *("val/loss", "val/accuracy"),
        *("progress/percentage", "progress/epoch", "progress/step"),
        "progress/estimated_remaining_seconds",
    }
    assert metrics["progress/percentage"] == 100
    samples = client.list_artifacts(run_id, "samples")
    assert [one.path for one in samples] == ["samples/epoch_000.csv"]
    assert client.search_logged_models(["0"], f"source_run_id = '{run_id}'") == []
    assert not (trainer.directory / "checkpoints").exists()
