"""A segmentation shows the masks, and how well they agree."""

from pathlib import Path

import pytest
import torch
from PIL import Image
from torch import Tensor
from trainingjob_trainer.samples import save_sample_predictions
from trainingjob_trainer.samples.reading import predict

from tests.integration.trainer.sample_models import Answer, errors

TRUTH = torch.tensor([[0, 1], [2, 255]])


def scores(*rows: list[int], classes: int = 3) -> Tensor:
    """Return scores (1, classes, H, W) by which these classes win."""
    won = torch.tensor(rows)
    return torch.nn.functional.one_hot(won, classes).permute(2, 0, 1)[None].float()


@pytest.mark.parametrize(
    ("output", "caption"),
    [
        (scores([0, 1], [2, 0]), "100.0 % right, mean IoU 1.00"),
        (scores([0, 1], [1, 2]), "66.7 % right, mean IoU 0.50"),
        (scores([0, 0]), "target (2, 2), prediction (1, 2)"),
        (torch.full((1, 3, 2, 2), float("nan")), "scores not finite"),
    ],
    ids=["right", "one of three wrong", "another size", "NaN"],
)
def test_a_sample_says_how_many_pixels_are_right(output: Tensor, caption: str) -> None:
    """The fourth pixel does not count."""
    batch = {"image": torch.rand(1, 3, 2, 2), "mask": TRUTH[None]}

    [sample] = predict(Answer(output), batch)

    assert (sample.caption, sample.correct) == (("", caption), None)
    assert [tile.name for tile in sample.tiles] == ["input", "target", "prediction"]


def test_each_class_has_a_colour_of_its_own() -> None:
    batch = {"image": torch.rand(1, 3, 2, 2), "mask": TRUTH[None]}

    [sample] = predict(Answer(scores([0, 1], [2, 0])), batch)

    _, target, prediction = (tile.pixels for tile in sample.tiles)
    colours = [tuple(target[:, row, column].tolist()) for row in (0, 1) for column in (0, 1)]
    assert len(set(colours)) == 4
    assert (colours[0], colours[3]) == ((0, 0, 0), (128, 128, 128))
    assert (prediction[:, 1, 0] == target[:, 1, 0]).all()


def test_one_score_a_pixel_is_that_of_class_1() -> None:
    output = torch.tensor([[[[-1.0, 2.0], [3.0, -4.0]]]])
    batch = {"image": torch.rand(1, 1, 2, 2), "mask": torch.tensor([[[0, 1], [1, 0]]])}

    [sample] = predict(Answer(output), batch)

    assert sample.caption == ("", "100.0 % right, mean IoU 1.00")


def test_a_picture_of_masks(tmp_path: Path) -> None:
    failed = errors()
    masks = torch.randint(0, 21, (20, 12, 16))
    data = [{"image": torch.rand(20, 3, 12, 16), "mask": masks}]

    file = save_sample_predictions(Answer(torch.rand(20, 21, 12, 16)), data, "cpu", 1, tmp_path)

    assert file is not None
    with Image.open(file) as image:
        image.load()
    assert errors() == failed
