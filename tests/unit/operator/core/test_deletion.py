"""decide(): a TrainingJob that is deleted."""

from dataclasses import replace
from typing import Any

import pytest
from trainingjob_operator.core.intent import (
    Action,
    ActionKind,
    Plan,
    RunView,
)
from trainingjob_operator.core.observe import Observed

from tests.support.jobs import (
    SERVERS,
    at,
    child,
    ended_pod,
    run,
    running_pod,
    training_job,
)
from tests.support.plans import (
    ENDED,
    NOTHING,
    NOW,
    REMOVE,
    RUNNING,
    decide,
    intent,
)

DELETED: dict[str, Any] = {"deletionTimestamp": "2026-01-01T00:00:25Z"}
KILLED = intent("KILLED", ended_at=at(25), create=False)
STILL = intent("RUNNING", create=False)

DELETE_JOB = Action(ActionKind.DELETE_JOB, name="mnist-1", uid="j-1")
RELEASE_JOB = Action(ActionKind.RELEASE_JOB, name="mnist-1", uid="j-1")

DELETIONS = [
    pytest.param(
        RUNNING,
        Observed(child(held=True, deleting=True, foreground=True), (running_pod(),)),
        run("RUNNING"),
        Plan(actions=(RELEASE_JOB,), run=STILL, requeue_after=30.0),
        id="our-finalizer-on-the-job-is-of-no-more-use",
    ),
    pytest.param(
        RUNNING,
        Observed(child(held=True, deleting=True), (running_pod(),)),
        run("RUNNING"),
        Plan(actions=(DELETE_JOB,), run=STILL, requeue_after=30.0),
        id="a-job-that-somebody-deleted-in-the-background-leaves-its-pods",
    ),
    pytest.param(
        RUNNING,
        Observed(None, (running_pod(0, job_uid=""), ended_pod(1))),
        run("RUNNING"),
        Plan(
            actions=(Action(ActionKind.DELETE_POD, name="mnist-1-0-x"),),
            run=STILL,
            requeue_after=30.0,
        ),
        id="pods-that-no-job-owns-are-deleted",
    ),
    pytest.param(
        RUNNING,
        Observed(None, (ended_pod(0),)),
        run("KILLED"),
        Plan(actions=REMOVE, run=KILLED),
        id="ended-pods-hold-nothing-up",
    ),
    pytest.param(
        RUNNING,
        Observed(None, (replace(ended_pod(0), job_uid=""),)),
        run("KILLED"),
        Plan(
            actions=(Action(ActionKind.DELETE_POD, name="mnist-1-0-x"), *REMOVE),
            run=KILLED,
        ),
        id="ended-pods-that-no-job-owns-go-too",
    ),
    pytest.param(
        RUNNING,
        Observed(child(), (running_pod(),)),
        run("RUNNING"),
        Plan(actions=(DELETE_JOB,), run=STILL, requeue_after=30.0),
        id="pods-first",
    ),
    pytest.param(
        RUNNING,
        Observed(None, (running_pod(deleting=True),)),
        run("RUNNING"),
        Plan(run=STILL, requeue_after=30.0),
        id="wait-for-pods",
    ),
    pytest.param(
        RUNNING,
        Observed(child(owner_uid="u-0"), ()),
        run("RUNNING"),
        Plan(run=KILLED, requeue_after=120.0),
        id="a-foreign-job-is-not-touched",
    ),
    pytest.param(RUNNING, NOTHING, run("KILLED"), Plan(actions=REMOVE, run=KILLED), id="killed"),
    pytest.param(
        None,
        NOTHING,
        RunView(missing=True),
        Plan(actions=REMOVE, run=replace(KILLED, identity=None)),
        id="there-never-was-a-run",
    ),
    pytest.param(
        ENDED,
        NOTHING,
        run("FINISHED"),
        Plan(actions=REMOVE, run=intent("FINISHED", ended_at=at(20), create=False)),
        id="an-ended-job-keeps-its-status",
    ),
]


@pytest.mark.parametrize(("status", "observed", "view", "expected"), DELETIONS)
def test_deletion(
    status: dict[str, Any] | None, observed: Observed, view: RunView, expected: Plan
) -> None:
    job = training_job(status=status, **DELETED)
    assert decide(job, observed, view, NOW, SERVERS) == expected


def test_an_mlflow_that_is_down_holds_a_deletion_up_for_two_minutes_only() -> None:
    job = training_job(status=RUNNING, **DELETED)
    view = replace(run("RUNNING"), problem="cannot reach it")
    assert decide(job, NOTHING, view, at(144), SERVERS).actions == ()
    assert decide(job, NOTHING, view, at(145), SERVERS).actions == REMOVE
