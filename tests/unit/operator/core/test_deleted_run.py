"""decide(): a run that somebody deleted in MLflow, and runs whose job is gone."""

from dataclasses import replace
from datetime import datetime
from typing import Any

import pytest
from trainingjob_operator.core import manifests
from trainingjob_operator.core.intent import (
    Action,
    ActionKind,
    EventIntent,
    Plan,
    RunIdentity,
    RunStatus,
    RunView,
)
from trainingjob_operator.core.observe import Observed
from trainingjob_operator.core.policies.orphans import right_end

from tests.support.jobs import SERVERS, TRACKING, at, child, run, running_pod, training_job
from tests.support.plans import (
    ENDED,
    HELD,
    NOTHING,
    NOW,
    RELEASE,
    RUNNING,
    condition,
    decide,
    intent,
    wire,
)

RUNS = Observed(child(), (running_pod(),))
GONE = replace(run("RUNNING"), problem="run f00d is deleted", deleted=True)
RETRY = {"backoffLimit": 1}


def test_the_running_attempt_goes_on_without_its_run_and_says_so_once() -> None:
    plan = decide(training_job(status=RUNNING), RUNS, GONE, NOW, SERVERS)
    assert plan.events == (EventIntent("Warning", "RunDeleted", "run f00d is deleted"),)
    status = wire(plan)
    assert status["state"] == "Running"
    assert status["conditions"][-1] == condition(
        "MLflowSynced", "False", "RunDeleted", "run f00d is deleted"
    )
    reported = training_job(status=status)
    assert decide(reported, RUNS, GONE, at(40), SERVERS) == Plan(run=intent("RUNNING"))
    back = decide(reported, RUNS, run("RUNNING"), at(50), SERVERS)
    assert wire(back)["conditions"][-1]["status"] == "True"


BETWEEN = {
    **RUNNING,
    "state": "Restarting",
    "nextAttemptTime": "2026-01-01T00:00:25Z",
    "attempts": [
        {**RUNNING["attempts"][0], "completionTime": "2026-01-01T00:00:20Z", "outcome": "Failed"}
    ],
}


def test_the_next_attempt_gets_another_run_first() -> None:
    job = training_job(RETRY, BETWEEN)
    asked = decide(job, NOTHING, GONE, NOW, SERVERS)
    another = intent("SCHEDULED", identity=None, replaces="f00d")
    assert asked == Plan(run=another, requeue_after=15.0)

    made = RunView(identity=RunIdentity("7", "beef"), status=RunStatus.SCHEDULED)
    [create] = decide(job, NOTHING, made, NOW, SERVERS).actions
    manifest = manifests.child_job(job, 2, made.identity, TRACKING)
    assert create == Action(ActionKind.CREATE_JOB, manifest=manifest)

    down = RunView(problem="cannot reach it")
    [create] = decide(job, NOTHING, down, NOW, SERVERS).actions
    assert create.kind == ActionKind.CREATE_JOB


def test_the_end_of_a_job_does_not_wait_for_a_deleted_run() -> None:
    deleted: dict[str, Any] = {"deletionTimestamp": "2026-01-01T00:00:25Z"}
    ended = decide(training_job(status=ENDED), HELD, GONE, NOW, SERVERS)
    assert ended.actions == RELEASE
    reported = condition("MLflowSynced", "False", "RunDeleted", "run f00d is deleted")
    over = training_job(status={**ENDED, "conditions": [reported]})
    assert decide(over, NOTHING, RunView(), NOW, SERVERS) == Plan()
    gone = decide(training_job(status=RUNNING, **deleted), HELD, GONE, NOW, SERVERS)
    assert gone.actions == RELEASE


def test_the_run_says_which_cluster_keeps_it() -> None:
    servers = replace(SERVERS, cluster="c-1")
    plan = decide(training_job(status=RUNNING), RUNS, run("RUNNING"), NOW, servers)
    assert plan.run is not None
    assert dict(plan.run.tags)["trainingjob.cluster"] == "c-1"


OURS = {"trainingjob.uid": "u-1"}
OTHER = training_job(status=RUNNING, uid="u-2")
ENDS = training_job(status=ENDED)

LEFT: list[Any] = [
    pytest.param(None, OURS, False, at(0), (RunStatus.KILLED, at(99)), id="its-job-is-gone"),
    pytest.param(None, OURS, True, at(0), None, id="its-pods-are-not"),
    pytest.param(None, OURS, False, at(40), None, id="too-young"),
    pytest.param(OTHER, OURS, False, at(0), (RunStatus.KILLED, at(99)), id="another-of-the-name"),
    pytest.param(training_job(status=RUNNING), OURS, True, at(0), None, id="its-job-lives"),
    pytest.param(training_job(), OURS, True, at(0), None, id="its-job-has-not-stored-it-yet"),
    pytest.param(
        training_job(status={**RUNNING, "mlflow": {"runId": "beef"}}),
        OURS,
        True,
        at(0),
        (RunStatus.KILLED, at(99)),
        id="its-job-has-another-one",
    ),
    pytest.param(
        training_job(status={**RUNNING, "mlflow": {"runId": "beef"}}),
        {**OURS, "trainingjob.replaces": "beef"},
        True,
        at(0),
        None,
        id="it-is-about-to-replace-that-one",
    ),
    pytest.param(ENDS, OURS, False, at(0), (RunStatus.FINISHED, at(20)), id="its-job-has-ended"),
    pytest.param(ENDS, OURS, True, at(0), None, id="its-end-is-being-written"),
]


@pytest.mark.parametrize(("job", "tags", "guarded", "started", "expected"), LEFT)
def test_what_an_open_run_ought_to_say(
    job: Any,
    tags: dict[str, str],
    guarded: bool,
    started: datetime,
    expected: tuple[RunStatus, datetime] | None,
) -> None:
    assert right_end("f00d", tags, job, guarded, started, at(99)) == expected
