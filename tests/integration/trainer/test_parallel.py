"""FSDP2 trains what DDP trains, and any number of ranks goes on with what others have left."""

from pathlib import Path

import pytest
import torch
from torch import nn
from trainingjob_trainer.parallel.sharded import blocks_of

from tests.integration.trainer.attempts import Attempts
from tests.support.tasks.tiny_loaders import SAMPLES

EPOCHS = 2
OPTIONS = (
    *("--epochs", str(EPOCHS), "--batch-size", "3", "--checkpoint-every-seconds", "0"),
    *("--schedule", "cosine", "--clip-norm", "0.5"),
)


def numbers(attempts: Attempts, ranks: int) -> list[tuple[float, float]]:
    """Return loss and sum of the images of each batch, of all ranks one after the other."""
    lines = [line.split() for rank in range(ranks) for line in attempts.records(rank)]
    return [(float.fromhex(loss), float.fromhex(images)) for _, loss, images in lines]


def losses(attempts: Attempts, ranks: int) -> list[float]:
    return [loss for loss, _ in numbers(attempts, ranks)]


@pytest.mark.parametrize("accumulate", ["1", "2"])
def test_fsdp2_has_the_losses_of_ddp(tmp_path: Path, accumulate: str) -> None:
    trained = {}
    for kind in ("ddp", "fsdp2"):
        arguments = (*OPTIONS, "--parallel", kind, "--accumulate", accumulate)
        trained[kind] = Attempts(tmp_path / kind, arguments, ranks=2)
        (tmp_path / kind).mkdir()
        assert trained[kind].run() == [0, 0], trained[kind].output()

    assert losses(trained["fsdp2"], 2) == pytest.approx(losses(trained["ddp"], 2), rel=1e-4)


def images_of_an_epoch() -> float:
    images = torch.rand(SAMPLES, 1, 2, 2, generator=torch.Generator().manual_seed(1))
    return float(images.sum())


def test_four_ranks_then_two_then_four_have_the_losses_of_ddp(tmp_path: Path) -> None:
    trained = {}
    for kind in ("ddp", "fsdp2"):
        (tmp_path / kind).mkdir()
        for epochs, ranks in ((1, 4), (2, 2), (3, 4)):
            arguments = (*OPTIONS, "--parallel", kind, "--epochs", str(epochs))
            trained[kind] = Attempts(tmp_path / kind, arguments, ranks)
            assert trained[kind].run() == [0] * ranks, trained[kind].output()

    assert losses(trained["fsdp2"], 4) == pytest.approx(losses(trained["ddp"], 4), rel=1e-3)
    for attempts in trained.values():
        seen = sum(images for _, images in numbers(attempts, ranks=4))
        assert seen == pytest.approx(3 * images_of_an_epoch(), rel=1e-5)


def test_four_ranks_then_two_then_four_stopped_anywhere_see_each_sample_once_an_epoch(
    tmp_path: Path,
) -> None:
    arguments = (*OPTIONS, "--parallel", "fsdp2", "--accumulate", "2")
    for ranks, signal in ((4, "1 3"), (2, "8 0"), (4, None)):
        attempts = Attempts(tmp_path, arguments, ranks)
        sent = {"TINY_SIGNAL": signal, "TINY_SIGNAL_NAME": "SIGTERM"} if signal else {}
        assert attempts.run(**sent) == [143 if signal else 0] * ranks, attempts.output()

    seen = sum(images for _, images in numbers(attempts, ranks=4))
    assert seen == pytest.approx(EPOCHS * images_of_an_epoch(), rel=1e-5)


def test_a_rank_without_a_batch_of_validation_is_named(tmp_path: Path) -> None:
    alone = Attempts(tmp_path, (*OPTIONS, "--parallel", "fsdp2"), ranks=2)

    assert alone.run(TINY_VALIDATING="0") == [1, 1]

    assert "with --parallel fsdp2 each rank needs a batch of validation" in alone.output()


def test_another_kind_of_parallelism_does_not_go_on(tmp_path: Path) -> None:
    ddp = Attempts(tmp_path, OPTIONS)
    assert ddp.run(TINY_SIGNAL="3 0", TINY_SIGNAL_NAME="SIGTERM") == [143]

    assert Attempts(tmp_path, (*OPTIONS, "--parallel", "fsdp2")).run() == [1]

    assert "the checkpoints are of --parallel ddp, not fsdp2" in ddp.output()


class Blocks(nn.Module):
    def __init__(self, *, tied: bool) -> None:
        super().__init__()
        self.embedding = nn.Embedding(10, 4)
        self.blocks = nn.ModuleList(nn.Sequential(nn.Linear(4, 4), nn.ReLU()) for _ in range(2))
        self.head = nn.Sequential(nn.Flatten(), nn.Linear(4, 10, bias=False))
        if tied:
            self.head[1].weight = self.embedding.weight


def test_the_entries_of_lists_are_gathered_one_at_a_time() -> None:
    model = Blocks(tied=False)

    assert blocks_of(model) == [*model.blocks, model.head[1]]


def test_a_block_that_shares_a_parameter_stays_with_the_rest() -> None:
    model = Blocks(tied=True)

    assert blocks_of(model) == [*model.blocks]
