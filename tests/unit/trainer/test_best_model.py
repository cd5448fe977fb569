"""The best model comes back as it was, from memory or from the disk."""

from pathlib import Path

import pytest
import torch
from torch import nn
from trainingjob_trainer.best import BestEpoch
from trainingjob_trainer.best_model import BestModel
from trainingjob_trainer.checkpoint import CheckpointStore, Part
from trainingjob_trainer.parallel.replicated import Replicated


def model(weight: float) -> nn.Linear:
    layer = nn.Linear(1, 1, bias=False)
    nn.init.constant_(layer.weight, weight)
    return layer


@pytest.fixture
def best() -> BestEpoch:
    """Epoch 1 was the best one, at step 10."""
    best = BestEpoch("loss", "min")
    best.update(0.5, epoch=1, step=10)
    best.update(0.7, epoch=2, step=20)
    return best


def test_without_checkpoints_it_is_kept_in_memory(best: BestEpoch) -> None:
    kept, training = BestModel(), model(1.0)
    kept.keep(best, training.state_dict())
    nn.init.constant_(training.weight, 2.0)

    load = kept.find(best, 20, None, Replicated(), first=True)

    assert load is not None
    load(training)
    assert training.weight.item() == 1.0


def test_with_checkpoints_it_is_on_the_disk(best: BestEpoch, tmp_path: Path) -> None:
    """As after a restart, which has nothing in memory."""
    store = CheckpointStore(tmp_path, keep=1)
    weight = {"weight": {"__tensor__": "/model/weight"}}
    part = Part({}, {**best.state_dict(), "model": weight}, {"/model/weight": torch.ones(1, 1)})
    store.best.write(10, part)

    load = BestModel().find(best, 20, store, Replicated(), first=True)

    assert load is not None
    final = model(2.0)
    memory = final.weight.data_ptr()
    load(final)
    assert (final.weight.item(), final.weight.data_ptr()) == (1.0, memory)


def test_only_the_first_rank_reads_it(best: BestEpoch, tmp_path: Path) -> None:
    store = CheckpointStore(tmp_path, keep=1)
    store.best.write(10, Part({}, {**best.state_dict(), "model": {}}, {}))

    assert BestModel().find(best, 20, store, Replicated(), first=False) is None
    assert BestModel().find(best, 20, store, Replicated(), first=True) is not None


def test_the_final_model_is_not_logged_twice(best: BestEpoch) -> None:
    assert BestModel().find(best, 10, None, Replicated(), first=True) is None
    assert BestModel().find(BestEpoch("loss", "min"), 20, None, Replicated(), first=True) is None


def test_one_that_is_lost_is_missed(
    best: BestEpoch, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    store = CheckpointStore(tmp_path, keep=1)
    store.best.write(5, Part({}, {**best.state_dict(), "step": 5, "model": {}}, {}))

    assert BestModel().find(best, 20, store, Replicated(), first=True) is None

    assert "the best model, that of step 10, is not to be found" in caplog.text
