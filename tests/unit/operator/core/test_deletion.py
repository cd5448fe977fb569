"""decide(): a TrainingJob that is deleted, or gone already."""

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
    HELD,
    NOTHING,
    NOW,
    RELEASE,
    RUNNING,
    decide,
    intent,
)

DELETED: dict[str, Any] = {"deletionTimestamp": "2026-01-01T00:00:25Z"}
KILLED = intent("KILLED", ended_at=at(25), create=False)
STILL = intent("RUNNING", create=False)

DELETE_JOB = Action(ActionKind.DELETE_JOB, name="mnist-1", uid="j-1")
CLEARED = Observed(child(held=True, deleting=True), ())
TOLD = {**ENDED, "mlflow": {**ENDED["mlflow"], "status": "FINISHED"}}

DELETIONS = [
    pytest.param(
        RUNNING,
        Observed(child(held=True, deleting=True, foreground=True), (running_pod(),)),
        run("RUNNING"),
        Plan(run=STILL, requeue_after=30.0),
        id="its-job-is-being-deleted",
    ),
    pytest.param(
        RUNNING,
        CLEARED,
        run("RUNNING"),
        Plan(run=KILLED, requeue_after=120.0),
        id="its-job-is-held-until-the-run-has-ended",
    ),
    pytest.param(
        RUNNING, CLEARED, run("KILLED"), Plan(actions=RELEASE, run=KILLED), id="its-job-may-go"
    ),
    pytest.param(
        RUNNING,
        Observed(child(held=True, suspended=True), ()),
        run("SCHEDULED"),
        Plan(actions=(DELETE_JOB,), run=STILL, requeue_after=30.0),
        id="a-job-that-would-make-pods-is-deleted",
    ),
    pytest.param(
        RUNNING,
        Observed(child(held=True, complete=True), (ended_pod(),)),
        run("KILLED"),
        Plan(actions=RELEASE, run=KILLED),
        id="a-job-that-is-over-is-left-to-whoever-deletes-it",
    ),
    pytest.param(
        RUNNING,
        Observed(child(), ()),
        RunView(),
        Plan(actions=(DELETE_JOB,), run=STILL, requeue_after=30.0),
        id="the-run-is-the-stored-one",
    ),
    pytest.param(
        None,
        Observed(child(), ()),
        RunView(),
        Plan(actions=(DELETE_JOB,), requeue_after=30.0),
        id="no-run-is-known-while-pods-end",
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
        Plan(run=KILLED),
        id="ended-pods-hold-nothing-up",
    ),
    pytest.param(
        RUNNING,
        Observed(None, (replace(ended_pod(0), job_uid=""),)),
        run("KILLED"),
        Plan(
            actions=(Action(ActionKind.DELETE_POD, name="mnist-1-0-x"),),
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
    pytest.param(RUNNING, NOTHING, run("KILLED"), Plan(run=KILLED), id="killed"),
    pytest.param(
        None,
        NOTHING,
        RunView(missing=True),
        Plan(run=replace(KILLED, identity=None)),
        id="there-never-was-a-run",
    ),
    pytest.param(
        ENDED,
        HELD,
        run("FINISHED"),
        Plan(actions=RELEASE, run=intent("FINISHED", ended_at=at(20), create=False)),
        id="an-ended-job-keeps-its-status",
    ),
    pytest.param(TOLD, HELD, run("FINISHED"), Plan(actions=RELEASE), id="all-is-closed"),
    pytest.param(
        TOLD,
        HELD,
        run("FINISHED", closed=False),
        Plan(
            run=intent("FINISHED", ended_at=at(20), create=False),
            requeue_after=120.0,
        ),
        id="what-its-pods-opened-is-closed-first",
    ),
    pytest.param(TOLD, NOTHING, RunView(), Plan(), id="nothing-is-left"),
    pytest.param(
        TOLD,
        Observed(None, (), (child(),)),
        RunView(),
        Plan(),
        id="its-job-does-not-say-yet-that-it-is-complete",
    ),
    pytest.param(
        TOLD,
        Observed(None, (running_pod(),), (child(),)),
        RunView(),
        Plan(
            actions=(DELETE_JOB,),
            run=intent("FINISHED", ended_at=at(20), create=False),
            requeue_after=30.0,
        ),
        id="a-sidecar-of-an-ended-job-runs-on",
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
    assert decide(job, CLEARED, view, at(144), SERVERS).actions == ()
    assert decide(job, CLEARED, view, at(145), SERVERS) == Plan(actions=RELEASE, run=KILLED)


def test_a_server_that_may_be_used_no_longer_gets_no_call() -> None:
    job = training_job({"mlflow": {"trackingUri": "http://elsewhere"}}, **DELETED)
    running = Observed(child(held=True), (running_pod(),))
    ends = decide(job, running, RunView(), NOW, SERVERS)
    assert ends == Plan(actions=(DELETE_JOB,), requeue_after=30.0)
    assert decide(job, CLEARED, RunView(), NOW, SERVERS) == Plan(actions=RELEASE)
