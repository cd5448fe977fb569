"""The checker of the chaos tests: what it must find, and what is no violation."""

from typing import TYPE_CHECKING, Any

import pytest

from tests.support.chaos.calls import Call, Kind, Server
from tests.support.chaos.invariants import Invariants

if TYPE_CHECKING:
    from tests.support.chaos.world import Objects

Json = dict[str, Any]
# A resource, the object's name, and what it is then; None: it is gone.
Change = tuple[str, str, Json | None]


def pod(attempt: int, phase: str) -> Json:
    labels = {"trainingjob.dev/attempt": str(attempt)}
    return {"metadata": {"labels": labels}, "status": {"phase": phase}}


def job(**status: Any) -> Change:
    return "trainingjobs", "job", {"status": status}


def violations(*changes: Change) -> list[str]:
    """Play a history as the watches tell it."""
    objects: dict[str, Objects] = {"pods": {}, "trainingjobs": {}}
    checker = Invariants(lambda plural: objects[plural])
    for plural, name, now in changes:
        before = objects[plural].pop(name, None)
        if now is not None:
            objects[plural][name] = now
        checker.changed(plural, before, now)
    return checker.violations


FAILED, RESTARTED = {"outcome": "Failed"}, {"outcome": "Disrupted"}
RIGHT: dict[str, list[Change]] = {
    "a retry": [
        job(state="Running", attempt=1),
        ("pods", "job-1-0", pod(1, "Running")),
        ("pods", "job-1-0", pod(1, "Failed")),
        job(state="Pending", attempt=1, failedAttempts=1, attempts=[FAILED]),
        job(state="Starting", attempt=2, failedAttempts=1, attempts=[FAILED, {}]),
        ("pods", "job-2-0", pod(2, "Pending")),
        ("pods", "job-2-0", pod(2, "Succeeded")),
        job(
            state="Succeeded",
            attempt=2,
            failedAttempts=1,
            attempts=[FAILED, {"outcome": "Succeeded"}],
            completionTime="t",
        ),
        ("pods", "job-1-0", None),
        ("trainingjobs", "job", None),
    ],
    "a disruption of two ranks": [
        ("pods", "job-1-0", pod(1, "Running")),
        ("pods", "job-1-1", pod(1, "Running")),
        ("pods", "job-1-0", None),
        ("pods", "job-1-1", pod(1, "Failed")),
        job(attempt=1, disruptions=1, attempts=[RESTARTED]),
        ("pods", "job-2-0", pod(2, "Running")),
    ],
    "an end to which more is added": [
        job(state="Failed", completionTime="t", attempt=1),
        job(state="Failed", completionTime="t", attempt=1, conditions=[{"type": "MLflowSynced"}]),
    ],
}


@pytest.mark.parametrize("history", RIGHT.values(), ids=RIGHT.keys())
def test_what_is_right_is_no_violation(history: list[Change]) -> None:
    assert violations(*history) == []


WRONG: dict[str, tuple[list[Change], str]] = {
    "two attempts live": (
        [("pods", "job-1-0", pod(1, "Running")), ("pods", "job-2-0", pod(2, "Pending"))],
        "attempts ['1', '2'] live at the same time",
    ),
    "an end that is taken back": (
        [job(state="Succeeded", attempt=1), job(state="Running", attempt=1)],
        "an end changed",
    ),
    "another end": (
        [job(state="Succeeded", attempt=1), job(state="Failed", attempt=1)],
        "an end changed",
    ),
    "an end that is written anew": (
        [job(state="Failed", completionTime="t"), job(state="Failed", completionTime="u")],
        "an end changed",
    ),
    "a status that is lost": ([job(state="Succeeded"), job()], "an end changed"),
    "an attempt left out": ([job(attempt=1), job(attempt=3)], "attempt 1 to 3"),
    "an attempt that comes again": (
        [job(attempt=1), job(attempt=2), job(attempt=1)],
        "attempt 2 to 1",
    ),
    "a failure counted twice": (
        [job(attempt=1, failedAttempts=2, attempts=[FAILED])],
        "failedAttempts is 2 with 1 attempts that are Failed",
    ),
    "a failure forgotten": (
        [
            job(attempt=1, failedAttempts=1, attempts=[FAILED]),
            job(attempt=2, failedAttempts=0, attempts=[FAILED, {}]),
        ],
        "failedAttempts is 0 with 1 attempts that are Failed",
    ),
    "a disruption counted twice": (
        [job(attempt=1, disruptions=2, attempts=[RESTARTED])],
        "disruptions is 2 with 1 attempts that are Disrupted",
    ),
    "a disruption charged as a failure": (
        [job(attempt=1, failedAttempts=1, attempts=[RESTARTED])],
        "failedAttempts is 1 with 0 attempts that are Failed",
    ),
}


@pytest.mark.parametrize(("history", "reported"), WRONG.values(), ids=WRONG.keys())
def test_what_is_wrong_is_found(history: list[Change], reported: str) -> None:
    [violation] = violations(*history)
    assert violation.startswith(reported)


def test_a_violation_is_reported_once_however_long_it_lasts() -> None:
    both = [("pods", "job-1-0", pod(1, "Running")), ("pods", "job-2-0", pod(2, "Running"))]
    again: list[Change] = [("pods", "job-1-1", pod(1, "Running"))]
    assert len(violations(*both, *again, *again)) == 1


@pytest.mark.parametrize(
    ("updates", "at_most", "right"),
    [
        (["SCHEDULED", "RUNNING", "FINISHED"], 1, True),
        (["SCHEDULED", "RUNNING", "SCHEDULED", "RUNNING", "FAILED"], 1, True),
        ([], 1, True),
        (["FINISHED", "FINISHED"], 2, True),
        (["RUNNING", "FINISHED", "FINISHED"], 1, False),
        (["FINISHED", "FINISHED", "FINISHED"], 2, False),
        (["FINISHED", "FAILED"], 2, False),
        (["FINISHED", "RUNNING"], 1, False),
        (["RUNNING", "KILLED", "SCHEDULED"], 1, False),
    ],
)
def test_a_run_ends_once(updates: list[str], at_most: int, right: bool) -> None:
    checker = Invariants(lambda _: {})
    checker.run_was_written_once([update(status) for status in updates], at_most)
    reported = [] if right else [f"the run's status was written as {updates}"]
    assert checker.violations == reported


def update(status: str) -> Call:
    return Call(
        replica="a",
        server=Server.MLFLOW,
        method="POST",
        path="/api/2.0/mlflow/runs/update",
        query="",
        headers={},
        body=b"",
        kind=Kind.WRITE,
        what=f"runs/update {status}",
    )
