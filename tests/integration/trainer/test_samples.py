"""The picture of an epoch: any images, both kinds of task."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch.utils.data import DataLoader
from trainingjob_agent.contract import Contract
from trainingjob_agent.delivery.connection import RunConnection
from trainingjob_agent.delivery.uploader import Uploader
from trainingjob_trainer.sample_grid import Sample, Tile, draw_grid
from trainingjob_trainer.samples import save_sample_predictions
from trainingjob_trainer.samples.reading import predict

from tests.integration.trainer.sample_models import (
    Answer,
    Classifier,
    Upscaler,
    batch,
    errors,
    pair,
    state,
)
from tests.support.processes import MlflowServer


@pytest.mark.parametrize(
    "data",
    [
        pytest.param([batch(4, 1, 28, 28)], id="grey"),
        pytest.param([batch(4, 3, 32, 20)], id="colour, not square"),
        pytest.param([batch(4, 2, 8, 8)], id="two channels"),
        pytest.param([batch(4, 7, 8, 8)], id="seven channels"),
        pytest.param([batch(2, 1, 1, 1)], id="one pixel"),
        pytest.param([batch(2, 3, 700, 500)], id="large"),
        pytest.param([{"image": torch.rand(4, 1, 8, 8)}], id="no label"),
        pytest.param([batch(2, 1, 8, 8, image=torch.full((2, 1, 8, 8), float("nan")))], id="NaN"),
        pytest.param([batch(2, 1, 8, 8, image=torch.full((2, 1, 8, 8), float("inf")))], id="inf"),
        pytest.param([batch(100, 1, 8, 8)], id="more than fit"),
        pytest.param(DataLoader([batch(4, 1, 8, 8)], batch_size=None, shuffle=True), id="shuffled"),  # type: ignore[arg-type]  # a list is a dataset
    ],
)
def test_a_picture_of_any_images(data: Iterable[Any], tmp_path: Path) -> None:
    model = Classifier().train()
    model.frozen.eval()
    before, failed = state(model), errors()

    file = save_sample_predictions(model, data, "cpu", 3, tmp_path)

    assert file == str(tmp_path / "epoch_003.png")
    with Image.open(file) as image:
        assert image.format == "PNG"
        image.load()
    assert [path.name for path in tmp_path.iterdir()] == ["epoch_003.png"]
    assert errors() == failed
    assert state(model) == before


@pytest.mark.parametrize(
    "data",
    [
        pytest.param([pair(4, 3, 32, 20)], id="colour, not square"),
        pytest.param([pair(3, 1, 1, 1)], id="one pixel"),
        pytest.param([pair(2, 5, 9, 7)], id="five channels, odd sizes"),
        pytest.param([pair(100, 1, 8, 8)], id="more than fit"),
        pytest.param([{"image": torch.rand(4, 1, 8, 8)}], id="no target"),
        pytest.param([pair(2, 1, 8, 8, target=torch.rand(2, 3, 5, 5))], id="another size"),
        pytest.param([pair(2, 1, 8, 8, image=torch.full((2, 1, 8, 8), float("nan")))], id="NaN"),
        pytest.param(
            [pair(2, 1, 8, 8, target=torch.full((2, 1, 16, 16), float("nan")))], id="NaN target"
        ),
        pytest.param([pair(2, 1, 8, 8, target=torch.zeros(2, 1, 16, 16))], id="black target"),
    ],
)
def test_a_picture_of_input_target_and_prediction(data: Iterable[Any], tmp_path: Path) -> None:
    model = Upscaler().train()
    before, failed = state(model), errors()

    file = save_sample_predictions(model, data, "cpu", 3, tmp_path)

    assert file == str(tmp_path / "epoch_003.png")
    with Image.open(file) as image:
        image.load()
    assert errors() == failed
    assert state(model) == before


def test_what_a_classification_shows() -> None:
    scores = torch.tensor([[0.0, 5.0], [0.0, 5.0], [float("nan"), 0.0]])
    data = {"image": torch.rand(3, 1, 4, 4), "label": torch.tensor([1, 0, 0])}

    samples = predict(Answer(scores), data)

    assert [(s.caption, s.correct, len(s.tiles)) for s in samples] == [
        (("1  (99.3 %)", "target 1"), True, 1),
        (("1  (99.3 %)", "target 0"), False, 1),
        (("scores not finite", "target 0"), None, 1),
    ]


def test_one_score_is_that_of_class_1() -> None:
    scores = torch.tensor([[5.0], [-5.0], [5.0], [float("nan")]])
    data = {"image": torch.rand(4, 1, 4, 4), "label": torch.tensor([1, 0, 0, 1])}

    samples = predict(Answer(scores), data)

    assert [(s.caption, s.correct) for s in samples] == [
        (("1  (99.3 %)", "target 1"), True),
        (("0  (99.3 %)", "target 0"), True),
        (("1  (99.3 %)", "target 0"), False),
        (("scores not finite", "target 1"), None),
    ]


def test_what_an_image_to_image_task_shows() -> None:
    images = torch.zeros(2, 1, 2, 2)
    answers = torch.stack([torch.full((1, 2, 2), 0.75), torch.full((1, 2, 2), float("inf"))])
    data = {
        "image": images,
        "target": torch.tensor([[[[0.0, 1.0], [0.0, 1.0]]]]).repeat(2, 1, 1, 1),
    }

    samples = predict(Answer(answers), data)

    assert [(s.caption, s.correct) for s in samples] == [
        (("", "mean error 0.5"), None),
        (("", "not finite"), None),
    ]
    for sample in samples:
        assert [(tile.name, tile.value_range) for tile in sample.tiles] == [
            ("input", None),
            ("target", (0.0, 1.0)),
            ("prediction", (0.0, 1.0)),
        ]


def test_prediction_and_target_share_one_scale() -> None:
    target, prediction = np.zeros((1, 1, 1), np.float32), np.full((1, 1, 1), 0.5, np.float32)
    tiles = tuple(Tile(pixels, value_range=(0.0, 1.0)) for pixels in (target, prediction))

    image = draw_grid([Sample(tiles, ("", ""))], "")

    assert [image.getpixel((12 + 64 + 140 * n, 56 + 64)) for n in (0, 1)] == [
        (0, 0, 0),
        (127, 127, 127),
    ]


def test_a_generator_of_the_loader_is_put_back(tmp_path: Path) -> None:
    generator = torch.Generator().manual_seed(1)
    data: Any = [batch(4, 1, 8, 8)]
    loader: DataLoader[Any] = DataLoader(data, None, shuffle=True, generator=generator)
    before = generator.get_state().tolist()

    assert save_sample_predictions(Classifier(), loader, "cpu", 1, tmp_path)

    assert generator.get_state().tolist() == before


def test_without_a_directory_the_file_is_a_temporary_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))

    file = save_sample_predictions(Classifier(), [batch(4, 1, 8, 8)], torch.device("cpu"), 1)

    assert file == str(tmp_path / "trainingjob-samples" / "epoch_001.png")


def test_while_mlflow_is_down_pictures_are_drawn_and_reach_it_later(
    own_server: MlflowServer, run_id: str, tmp_path: Path
) -> None:
    uploader = Uploader(RunConnection(Contract(tracking_uri=own_server.uri, run_id=run_id)))
    uploader.start()
    for epoch in (1, 2):
        file = save_sample_predictions(
            Classifier(),
            [batch(4, 1, 8, 8)],
            "cpu",
            epoch,
            tmp_path / "samples",
        )
        assert file is not None
        uploader.sample_image(Path(file), epoch)

    own_server.start()
    assert uploader.close(within_seconds=300)

    paths = [artifact.path for artifact in own_server.client.list_artifacts(run_id, "samples")]
    assert paths == ["samples/epoch_001.png", "samples/epoch_002.png"]
