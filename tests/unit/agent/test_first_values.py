"""A parameter that is logged again with another value: the first stays, the other is a tag."""

import pytest
from trainingjob_agent.delivery.batch import Batch
from trainingjob_agent.delivery.first_values import FirstValues, keep_first_values
from trainingjob_agent.delivery.point import Point

POINT = Point("loss", 1.0, 1, 1)
LONG = "x" * 7000


@pytest.mark.parametrize(
    ("batch", "known", "kept"),
    [
        pytest.param(
            Batch(params=(("lr", "0.1"), ("host", "pod-2"))),
            {"lr": "0.1", "host": "pod-1"},
            FirstValues(
                (Batch(tags=(("trainingjob.changed_param.2.host", "pod-2"),)),),
                (
                    (
                        "parameter host stays 'pod-1', its first value in this run; 'pod-2' is "
                        "kept as tag trainingjob.changed_param.2.host"
                    ),
                ),
            ),
            id="the same and another value",
        ),
        pytest.param(
            Batch((POINT,), (("lr", "0.1"), ("new", "1")), (("a", "b"),)),
            {"lr": "0.2"},
            FirstValues(
                (
                    Batch((POINT,), (("new", "1"),), (("a", "b"),)),
                    Batch(tags=(("trainingjob.changed_param.2.lr", "0.1"),)),
                ),
                (
                    (
                        "parameter lr stays '0.2', its first value in this run; '0.1' is kept "
                        "as tag trainingjob.changed_param.2.lr"
                    ),
                ),
            ),
            id="what is beside it is logged",
        ),
        pytest.param(
            Batch(params=(("lr", "1"), ("lr", "2"))),
            {},
            FirstValues(
                (
                    Batch(params=(("lr", "1"),)),
                    Batch(tags=(("trainingjob.changed_param.2.lr", "2"),)),
                ),
                (
                    (
                        "parameter lr stays '1', its first value in this run; '2' is kept "
                        "as tag trainingjob.changed_param.2.lr"
                    ),
                ),
            ),
            id="twice in one call",
        ),
        pytest.param(
            Batch(params=(("long", LONG),)),
            {"long": LONG[:6000]},
            FirstValues((), ()),
            id="a value that MLflow has cut is the same",
        ),
        pytest.param(
            Batch(params=(("n", "12"),)),
            {"n": "1"},
            FirstValues(
                (Batch(tags=(("trainingjob.changed_param.2.n", "12"),)),),
                (
                    (
                        "parameter n stays '1', its first value in this run; '12' is kept "
                        "as tag trainingjob.changed_param.2.n"
                    ),
                ),
            ),
            id="a short one is never cut",
        ),
    ],
)
def test_the_first_value_stays_and_the_other_is_a_tag(
    batch: Batch, known: dict[str, str], kept: FirstValues
) -> None:
    assert keep_first_values(batch, known, attempt=2) == kept
