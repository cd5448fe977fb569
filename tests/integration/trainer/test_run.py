"""The command as a pod runs it, against a real MLflow server."""

import json
import signal
import time
import uuid
from collections.abc import Iterator

import mlflow.pytorch
import pytest
from trainingjob_trainer.tasks.mnist import load_digits

from tests.support.pod_process import Trainer, wait_until
from tests.support.processes import MlflowServer, free_port


@pytest.fixture
def run_id(mlflow_server: MlflowServer, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    run_id = mlflow_server.create_run()
    monkeypatch.setenv("MLFLOW_TRACKING_URI", mlflow_server.uri)
    monkeypatch.setenv("TRAININGJOB_MLFLOW_RUN_ID", run_id)
    yield run_id
    assert mlflow_server.client.get_run(run_id).info.status == "RUNNING"


def test_digits_are_learned_and_everything_is_in_the_run(
    trainer: Trainer, mlflow_server: MlflowServer, run_id: str
) -> None:
    began = int(time.time() * 1000)

    # The highest loss is the first epoch's: so the best model is not the final one.
    code, output = trainer.run(
        *("mnist", "--epochs", "3", "--learning-rate", "0.002", "--best-mode", "max"),
        *("--profile-steps", "2:3"),
    )

    assert code == 0, output
    assert "WARNING" not in output
    assert "epoch 3/3 | train loss " in output
    client = mlflow_server.client
    run = client.get_run(run_id)
    assert run.data.metrics["val/accuracy"] >= 0.95
    assert run.data.params == {
        "task": "mnist",
        "epochs": "3",
        "batch_size": "64",
        "accumulate": "1",
        "learning_rate": "0.002",
        "schedule": "constant",
        "warmup_steps": "0",
        "max_not_finite": "100",
        "precision": "fp32",
        "parallel": "ddp",
        "compile": "False",
        "evaluate_only": "False",
        "seed": "0",
        "best_metric": "loss",
        "best_mode": "max",
        "report_seconds": "5.0",
        "checkpoint_every_seconds": "300.0",
        "checkpoint_keep": "3",
        "adopt_checkpoints": "False",
        "stop_seconds": "15.0",
        "model_seconds": "840.0",
        "collective_seconds": "600.0",
        "hang_seconds": "300.0",
        "profile_steps": "2:3",
        "monitor_level": "basic",
        "world_size": "1",
        "device": "cpu",
    }
    assert run.data.metrics["progress/percentage"] == 100
    assert run.data.metrics["progress/step"] == 3 * 63
    names = {"train/loss", "train/accuracy", "val/loss", "val/accuracy", "progress/epoch"} | {
        "progress/estimated_remaining_seconds",
        "perf/samples_per_second",
        "perf/peak_memory_megabytes",
        "train/gradient_norm",
        "train/not_finite_batches",
        "system/cpu_utilization_percentage",
        "system/system_memory_usage_megabytes",
    }
    for name in names:
        history = client.get_metric_history(run_id, name)
        assert all(m.step >= 1 and m.timestamp >= began for m in history), name
    assert [m.step for m in client.get_metric_history(run_id, "val/loss")] == [63, 126, 189]
    assert [a.path for a in client.list_artifacts(run_id, "samples")] == [
        f"samples/epoch_00{epoch}.png" for epoch in (1, 2, 3)
    ]
    assert [a.path for a in client.list_artifacts(run_id, "profile")] == [
        f"profile/steps_2-3.{suffix}" for suffix in ("json.gz", "txt")
    ]
    assert run.inputs is not None
    assert [one.dataset.name for one in run.inputs.dataset_inputs] == ["mnist-5k"]
    logged = client.search_logged_models(["0"], f"source_run_id = '{run_id}'")
    losses = {
        one.name: [(m.step, m.value) for m in one.metrics or [] if m.key == "val/loss"]
        for one in logged
    }
    points = client.get_metric_history(run_id, "val/loss")
    lost = [(point.step, point.value) for point in points]
    assert losses == {"model": lost[-1:], "best_model": lost[:1]}
    model = mlflow.pytorch.load_model(f"runs:/{run_id}/model")
    digits = load_digits()
    predicted = model(digits.images[::50]).argmax(dim=1)
    assert (predicted == digits.labels[::50]).float().mean() > 0.9
    assert not trainer.termination_log.exists()
    assert not (trainer.directory / "mlflow-spool").exists(), "all of it was delivered"


def test_two_nodes_train_as_one(
    trainer: Trainer, mlflow_server: MlflowServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither knows the run's id: MLflow was away when the job started. Nothing is resumed."""
    uid = str(uuid.uuid4())
    monkeypatch.setenv("MLFLOW_TRACKING_URI", mlflow_server.uri)
    nodes = {
        "PET_NNODES": "2",
        "PET_NPROC_PER_NODE": "1",
        "PET_MASTER_ADDR": "127.0.0.1",
        "PET_MASTER_PORT": str(free_port()),
        "WORLD_SIZE": "2",
        "LOCAL_RANK": "0",
        "LOCAL_WORLD_SIZE": "1",
        "TRAININGJOB_NUM_NODES": "2",
        "TRAININGJOB_UID": uid,
        # As in a job without spec.checkpoint: what the ranks agree on is another path of the loop.
        "TRAININGJOB_CHECKPOINT_DIR": "",
    }
    processes = [
        trainer.start(
            *("mnist", "--epochs", "2", "--batch-size", "32", "--learning-rate", "0.003"),
            **nodes,
            PET_NODE_RANK=str(rank),
            TRAININGJOB_NODE_RANK=str(rank),
            RANK=str(rank),
        )
        for rank in range(2)
    ]
    run_id = mlflow_server.create_run(uid, "digits")

    outputs = [process.communicate(timeout=300)[0] for process in processes]

    assert [process.returncode for process in processes] == [0, 0], outputs
    metrics = mlflow_server.client.get_run(run_id).data.metrics
    assert metrics["val/accuracy"] >= 0.9
    assert metrics["progress/step"] == 2 * 63
    assert "system/0/cpu_utilization_percentage" in metrics
    assert "system/1/cpu_utilization_percentage" in metrics


def test_the_rank_that_fails_first_names_the_cause(trainer: Trainer, run_id: str) -> None:
    code, output = trainer.run("failing_task:FailingTask", PET_NPROC_PER_NODE="2")

    assert code == 1, output
    assert "ValueError: label 11 is out of range" in output
    termination = json.loads(trainer.termination_log.read_text())
    frame = termination.pop("frame")
    assert termination == {
        "reason": "UserException",
        "message": "label 11 is out of range",
        "exception": "ValueError",
        "rank": 1,
        "epoch": 1,
        "step": 1,
    }
    assert frame.endswith("failing_task.py:17 in loss")


def test_sigterm_ends_training_at_the_next_step_and_delivers_what_there_is(
    trainer: Trainer, mlflow_server: MlflowServer, run_id: str
) -> None:
    process = trainer.start("mnist", "--epochs", "1000")

    def metrics() -> dict[str, float]:
        return dict(mlflow_server.client.get_run(run_id).data.metrics)

    wait_until(lambda: "progress/step" in metrics(), 120)

    process.send_signal(signal.SIGTERM)
    output, _ = process.communicate(timeout=120)

    assert process.returncode == 143, output
    termination = json.loads(trainer.termination_log.read_text())
    assert (termination["reason"], termination["message"]) == ("Signal", "stopped by SIGTERM")
    assert termination["step"] >= metrics()["progress/step"]


def test_a_wrong_environment_is_explained(trainer: Trainer) -> None:
    code, output = trainer.run("mnist", TRAININGJOB_ATTEMPT="two")

    assert code == 1
    assert "TRAININGJOB_ATTEMPT: expected an integer ≥ 0, got 'two'" in output
    termination = json.loads(trainer.termination_log.read_text())
    assert termination["reason"] == "InvalidConfiguration"
