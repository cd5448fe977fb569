"""What makes the operator ready, and what its gauges count."""

import pytest
from trainingjob_operator import health
from trainingjob_operator.api import ObjectMeta
from trainingjob_operator.cluster.trainingjobs import Unreadable

from tests.support.jobs import started, training_job


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.mark.parametrize(
    ("lease_seconds", "code", "seconds", "problem"),
    [
        (15, 200, 15, None),
        (15, 200, 16, "no answer for 16 s"),
        (3, 200, 11, "no answer for 11 s"),
        (300, 200, 200, None),
        # What is refused is answered; an API server without its store answers, too.
        (15, 403, 15, None),
        (15, 503, 6, "no answer for 16 s"),
        (15, 0, 6, "no answer for 16 s"),
    ],
)
def test_contact(lease_seconds: float, code: int, seconds: float, problem: str | None) -> None:
    clock = Clock()
    contact = health.Contact(lease_seconds, clock)
    clock.now += 10
    contact.saw(code)
    clock.now += seconds
    assert contact.problem() == problem


@pytest.mark.parametrize(
    ("namespaces", "foreign", "asked_for", "problem"),
    [
        ({"a", "b"}, {}, True, None),
        ({"a", "b"}, {"b": "ops/other"}, False, None),
        (
            {"a", "b"},
            {"b": "ops/other"},
            True,
            "served by another installation: b by ops/other",
        ),
        (
            {"a", "b"},
            {"b": "ops/other", "a": "ops/third"},
            False,
            "served by another installation: a by ops/third, b by ops/other",
        ),
    ],
    ids=["alone", "one of the cluster's", "one that it was asked for", "none is left"],
)
def test_namespaces_of_others(
    namespaces: set[str], foreign: dict[str, str], asked_for: bool, problem: str | None
) -> None:
    assert health.unserved(namespaces, foreign, asked_for) == problem


def test_jobs_are_counted_by_state_also_those_that_cannot_be_read() -> None:
    jobs = (
        training_job(),
        training_job(status=started("Running")),
        training_job(status=started("Running")),
        Unreadable(ObjectMeta(name="later"), "status.state: unknown", ()),
    )
    assert health.by_state(jobs) == {"Pending": 1, "Running": 2, "Unreadable": 1}
