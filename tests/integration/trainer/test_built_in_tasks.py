"""Tasks without pictures, as they are run: metrics, samples of their own kind, a whole model."""

import csv
import io
from pathlib import Path

import mlflow
import numpy as np
import pytest

from tests.integration.trainer.attempts import Attempts
from tests.support.pod_process import Trainer
from tests.support.processes import MlflowServer


@pytest.fixture
def run(
    trainer: Trainer, mlflow_server: MlflowServer, monkeypatch: pytest.MonkeyPatch
) -> "TaskRun":
    monkeypatch.setenv("MLFLOW_TRACKING_URI", mlflow_server.uri)
    return TaskRun(trainer, mlflow_server)


class TaskRun:
    """One training with its run."""

    def __init__(self, trainer: Trainer, server: MlflowServer) -> None:
        self.trainer = trainer
        self.server = server
        self.id = server.create_run()

    def train(self, *arguments: str) -> None:
        code, output = self.trainer.run(
            *arguments,
            MLFLOW_TRACKING_URI=self.server.uri,
            TRAININGJOB_MLFLOW_RUN_ID=self.id,
        )
        assert code == 0, output
        assert "WARNING" not in output

    def sample(self, name: str, directory: Path) -> str:
        client = self.server.client
        return Path(
            client.download_artifacts(self.id, f"samples/{name}", str(directory))
        ).read_text()

    def metric(self, name: str) -> float:
        return float(self.server.client.get_run(self.id).data.metrics[name])


def test_a_table_is_learned(run: TaskRun, tmp_path: Path) -> None:
    run.train("wine", "--epochs", "20", "--learning-rate", "0.01", "--batch-size", "32")

    assert run.metric("val/accuracy") > 0.9
    rows = list(csv.DictReader(io.StringIO(run.sample("epoch_020.csv", tmp_path))))
    assert len(rows) == 24
    assert {row["correct"] for row in rows if row["sort"] == row["prediction"]} == {"yes"}
    model = mlflow.pyfunc.load_model(f"runs:/{run.id}/model")
    assert model.metadata.signature is not None
    assert model.input_example.shape == (4, 13)
    assert model.predict(np.zeros((3, 13), np.float32)).shape == (3, 3)


def test_a_text_is_learned(run: TaskRun, tmp_path: Path) -> None:
    run.train("text", "--epochs", "1", "--learning-rate", "0.01", "--set", "width=32")

    # Every second byte or so is foreseen; without learning one of 256 would be.
    assert run.metric("val/accuracy") > 0.4
    sample = run.sample("epoch_001.txt", tmp_path)
    assert sample.startswith("Epoch 1\n")
    assert sample.count("\n>>> ") == 4
    model = mlflow.pyfunc.load_model(f"runs:/{run.id}/model")
    assert model.metadata.signature is not None
    assert model.predict(np.zeros((3, 64), np.int64)).shape == (3, 64, 256)


def test_a_table_is_shared_by_two_ranks(tmp_path: Path) -> None:
    attempts = Attempts(tmp_path, ("--epochs", "2"), 2, task="wine")

    assert attempts.run() == [0, 0], attempts.output()

    assert "2/2" in attempts.output()
    assert sorted(file.name for file in (tmp_path / "samples").iterdir()) == [
        "epoch_001.csv",
        "epoch_002.csv",
    ]


def test_a_stream_needs_to_know_how_long_an_epoch_is(tmp_path: Path) -> None:
    attempts = Attempts(tmp_path, ("--epochs", "1"))

    assert attempts.run(TINY_LOADER="stream") == [1]

    assert "the training loader has no length: say by --steps-per-epoch" in attempts.output()
