"""Best epoch and early stopping, by tables."""

import math

import pytest
from trainingjob_trainer.best import BestEpoch

NAN = math.nan


@pytest.mark.parametrize(
    ("mode", "values", "best_epoch", "ends_after"),
    [
        ("min", [3, 2, 1], 3, None),
        ("min", [1, 2, 3], 1, 3),
        ("min", [2, 3, 1, 2, 2], 3, 5),
        ("min", [1, 1, 1], 1, 3),
        ("max", [1, 2, 2, 2], 2, 4),
        ("min", [NAN, NAN], 0, 2),
        ("min", [1, NAN, 0.5], 3, None),
        ("max", [1, math.inf, math.inf], 1, 3),
    ],
)
def test_the_best_epoch_and_when_to_end(
    mode: str, values: list[float], best_epoch: int, ends_after: int | None
) -> None:
    best = BestEpoch("loss", "min" if mode == "min" else "max", patience=2)
    ended = None

    for epoch, value in enumerate(values, start=1):
        best.update(value, epoch, step=10 * epoch)
        if best.exhausted and ended is None:
            ended = epoch

    assert (best.epoch, best.step, ended) == (best_epoch, 10 * best_epoch, ends_after)


def test_without_patience_it_never_ends() -> None:
    best = BestEpoch("loss", "min")
    for epoch in range(100):
        best.update(1.0, epoch, epoch)

    assert not best.exhausted


@pytest.mark.parametrize(("metric", "value"), [("loss", 0.5), ("accuracy", None)])
def test_a_resumed_one_goes_on_with_the_same_metric_only(metric: str, value: float | None) -> None:
    before = BestEpoch("loss", "min", patience=2)
    before.update(0.5, 1, 10)
    after = BestEpoch(metric, "min", patience=3)

    after.load_state_dict(before.state_dict())

    assert (after.value, after.patience) == (value, 3)
