"""What goes wrong with a picture costs the picture, and nothing else."""

import os
import re
import subprocess
import sys
import tempfile
import weakref
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn
from trainingjob_trainer.samples import save_sample_predictions

from tests.integration.trainer.sample_models import (
    Classifier,
    batch,
    errors,
    state,
)


@pytest.mark.parametrize(
    ("data", "cause"),
    [
        pytest.param([{"label": torch.zeros(4)}], "KeyError: 'image'", id="no image"),
        pytest.param([], "ValueError: the validation loader is empty", id="empty loader"),
        pytest.param([batch(0, 1, 8, 8)], "not empty, got (0, 1, 8, 8)", id="empty batch"),
        pytest.param([batch(4, 8)], "must be (N, C, H, W)", id="no image at all"),
        pytest.param([batch(4, 1, 8, 8, label=torch.zeros(1))], "IndexError", id="too few labels"),
        pytest.param([batch(4, 1, 8, 8, image="no tensor")], "'str' object", id="no tensor"),
    ],
)
def test_an_error_is_logged_and_counted_and_training_goes_on(
    data: list[Any], cause: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    model = Classifier().train()
    before, failed = state(model), errors()

    assert save_sample_predictions(model, data, "cpu", 1, tmp_path) is None

    assert errors() == failed + 1
    assert "no sample predictions for epoch 1" in caplog.text
    assert cause in caplog.text
    assert list(tmp_path.iterdir()) == []
    assert state(model) == before


@pytest.mark.parametrize(
    ("model", "device", "cause"),
    [
        pytest.param(Classifier(), "meta", "device meta", id="images"),
        pytest.param(Classifier().to("meta"), "cpu", "meta", id="model"),
        pytest.param(Classifier(), "nonsense", "nonsense", id="no such device"),
        pytest.param(nn.Flatten(0), "cpu", "the model must give scores", id="neither kind"),
        pytest.param(nn.Linear(3, 3), "cpu", "mat1 and mat2 shapes", id="other channels"),
    ],
)
def test_a_model_that_cannot_take_the_images(
    model: nn.Module, device: str, cause: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    failed = errors()

    assert save_sample_predictions(model, [batch(4, 1, 8, 8)], device, 1, tmp_path) is None

    assert errors() == failed + 1
    assert re.search(cause, caplog.text)
    assert all(
        module.training for module in model.modules() if not isinstance(module, nn.BatchNorm1d)
    )


@pytest.mark.parametrize("fails", [False, True])
def test_no_memory_is_held(tmp_path: Path, fails: bool) -> None:
    given: list[weakref.ref[torch.Tensor]] = []

    class Watched(Classifier):
        def forward(self, images: torch.Tensor) -> torch.Tensor:
            scores = super().forward(images)
            given.extend([weakref.ref(images), weakref.ref(scores)])
            if fails:
                raise RuntimeError("out of memory")
            return scores

    file = save_sample_predictions(Watched(), [batch(4, 1, 8, 8)], "cpu", 1, tmp_path)

    assert (file is None) is fails
    assert [reference() for reference in given] == [None, None]


def test_a_disk_that_is_full(tmp_path: Path) -> None:
    """The kernel refuses what goes beyond a size: the picture is cut short in the middle."""
    done = subprocess.run(
        [sys.executable, "-c", FULL_DISK, tmp_path], capture_output=True, text=True, timeout=120
    )

    assert (done.returncode, done.stdout) == (0, "None 1.0\n")
    assert "no sample predictions for epoch 1" in done.stderr
    assert "File too large" in done.stderr
    assert list(tmp_path.iterdir()) == []


FULL_DISK = """
import resource, sys
import torch
from trainingjob_trainer.samples import sample_errors, save_sample_predictions
model = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(784, 10))
resource.setrlimit(resource.RLIMIT_FSIZE, (200, 200))
file = save_sample_predictions(model, [{"image": torch.rand(24, 1, 28, 28)}], "cpu", 1, sys.argv[1])
print(file, sample_errors._value.get())
"""


def test_a_directory_that_is_read_only(anybody: None, caplog: pytest.LogCaptureFixture) -> None:
    with tempfile.TemporaryDirectory() as directory:
        Path(directory).chmod(0o555)
        file = save_sample_predictions(Classifier(), [batch(4, 1, 8, 8)], "cpu", 1, directory)
        Path(directory).chmod(0o755)

    assert file is None
    assert "PermissionError" in caplog.text


@pytest.fixture
def anybody() -> Iterator[None]:
    """Not be root, whom permissions do not bind."""
    user = os.geteuid()
    if user == 0:
        os.seteuid(65534)
    yield
    os.seteuid(user)


def test_a_directory_that_cannot_be_written_is_an_error_like_any_other(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "file").write_text("")

    target = tmp_path / "file" / "samples"
    assert save_sample_predictions(Classifier(), [batch(4, 1, 8, 8)], "cpu", 1, target) is None

    assert "NotADirectoryError" in caplog.text
