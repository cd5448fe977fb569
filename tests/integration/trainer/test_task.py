"""A task of a user: found by its name, refused for what it lacks, taken from the documentation."""

import re
from pathlib import Path

import mlflow.pytorch
import pytest
import torch
from trainingjob_trainer.task import TaskNotFoundError, load_task
from trainingjob_trainer.tasks.denoise import DenoiseTask
from trainingjob_trainer.tasks.mnist import MnistTask

from tests.integration.trainer.attempts import Attempts
from tests.support.pod_process import Trainer
from tests.support.processes import MlflowServer

PAGE = Path(__file__).parents[3] / "docs" / "trainer" / "your-own-task.md"


def test_a_built_in_task_has_a_short_name() -> None:
    assert isinstance(load_task("mnist"), MnistTask)
    assert isinstance(load_task("mnist-denoise"), DenoiseTask)


def test_the_digits_lose_their_noise(
    trainer: Trainer, mlflow_server: MlflowServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An image-to-image task as it is run: settings from two places, metrics, picture, model."""
    run_id = mlflow_server.create_run()

    code, output = trainer.run(
        *("mnist-denoise", "--epochs", "2", "--set", "channels=8"),
        TRAININGJOB_SETTING_NOISE="0.3",
        MLFLOW_TRACKING_URI=mlflow_server.uri,
        TRAININGJOB_MLFLOW_RUN_ID=run_id,
    )

    assert code == 0, output
    assert "WARNING" not in output
    run = mlflow_server.client.get_run(run_id)
    assert (
        run.data.params.items()
        >= {
            "task": "mnist-denoise",
            "settings.noise": "0.3",
            "settings.channels": "8",
        }.items()
    )
    # The noise alone is 20·log10(1 / 0.3) = 10.5 dB below the peak.
    assert run.data.metrics["val/psnr"] > 15
    pictures = [a.path for a in mlflow_server.client.list_artifacts(run_id, "samples")]
    assert pictures == ["samples/epoch_001.png", "samples/epoch_002.png"]
    monkeypatch.setenv("MLFLOW_TRACKING_URI", mlflow_server.uri)
    model = mlflow.pytorch.load_model(f"runs:/{run_id}/model")
    assert model(torch.rand(3, 1, 28, 28)).shape == (3, 1, 28, 28)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        (
            "digits",
            "no task 'digits': use one of mnist, mnist-denoise, text, wine, or ",
        ),
        ("json:Absent", "module 'json' has no class 'Absent'"),
        ("json:JSONDecoder", "json:JSONDecoder is not a task: it lacks name, build_model"),
        (
            "half:Half",
            "half:Half is not a task: it lacks build_model, build_loaders, forward, loss, count; ",
        ),
        ("half:Plain", "half:Plain is not a task: it lacks forward, count, metrics, "),
    ],
)
def test_what_is_no_task_is_refused_with_the_reason(
    name: str, message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "half.py").write_text(
        "from trainingjob_trainer.task import Task\n\nclass Half(Task):\n    name = 'half'\n"
        "class Plain:\n    name = 'plain'\n    build_model = build_loaders = loss = print\n"
    )

    with pytest.raises(TaskNotFoundError) as raised:
        load_task(name)

    assert str(raised.value).startswith(message)


@pytest.mark.parametrize("ranks", [1, 2])
def test_the_task_of_the_documentation_learns(tmp_path: Path, ranks: int) -> None:
    (code,) = re.findall(r"```python\n(.*?)```", PAGE.read_text(), re.DOTALL)
    (tmp_path / "denoise.py").write_text(code)
    arguments = ("--epochs", "2", "--learning-rate", "0.02")
    attempts = Attempts(tmp_path, arguments, ranks, task="denoise:Denoise")

    assert attempts.run() == [0] * ranks, attempts.output()

    assert "WARNING" not in attempts.output()
    losses = re.findall(r"validation loss (\S+)", attempts.output())
    assert float(losses[1]) < 0.15
