"""Ranks whose loaders differ: they train if they can, and say so at once if they cannot."""

from pathlib import Path
from typing import TypeVar, cast

import pytest
import torch
from trainingjob_trainer.checkpoint import CheckpointStore
from trainingjob_trainer.distributed import Ranks, means_over_ranks

from tests.integration.trainer.attempts import Attempts

T = TypeVar("T")
OPTIONS = ("--epochs", "1", "--batch-size", "6")


def test_a_rank_with_more_batches_than_another_ends_training_before_the_first_step(
    tmp_path: Path,
) -> None:
    unequal = Attempts(tmp_path, OPTIONS, ranks=2)

    assert unequal.run(TINY_LOADER="unequal") == [1, 1]

    assert (
        "ValueError: the training loaders differ: rank 1 has 9 batches left in this epoch, "
        "rank 0 has 10. "
    ) in unequal.output()
    assert unequal.records(0) == unequal.records(1) == []


@pytest.fixture(scope="module")
def best_of_all(tmp_path_factory: pytest.TempPathFactory) -> float:
    """The best loss of a training in which each rank validates its half."""
    shared = Attempts(tmp_path_factory.mktemp("shared"), OPTIONS, ranks=2)
    assert shared.run() == [0, 0], shared.output()
    return best_loss(shared)


@pytest.mark.parametrize("validating", ["0", "1"])
def test_one_rank_may_validate_for_all(tmp_path: Path, best_of_all: float, validating: str) -> None:
    alone = Attempts(tmp_path, OPTIONS, ranks=2)

    assert alone.run(TINY_VALIDATING=validating) == [0, 0], alone.output()

    assert best_loss(alone) == pytest.approx(best_of_all)


def best_loss(attempts: Attempts) -> float:
    best = CheckpointStore(attempts.directory / "checkpoints", keep=3).read_best()
    assert best is not None
    return float(best["value"])


class Answered(Ranks):
    """Rank 0 of two, of which the other one has these metrics."""

    def __init__(self, *names: str) -> None:
        self._names = names

    def of_all(self, value: T) -> list[T]:
        return [value, cast("T", list(self._names))]


def test_other_metrics_on_another_rank_are_named() -> None:
    with pytest.raises(ValueError, match=r"\['loss', 'accuracy'\] and \['loss'\]"):
        means_over_ranks({"loss": 1.0, "accuracy": 1.0}, 2, Answered("loss"), torch.device("cpu"))
