"""decide(): deadlines, counted from the times in the status."""

from typing import Any

import pytest
from trainingjob_operator.core.intent import Action, ActionKind, EventIntent, Plan
from trainingjob_operator.core.observe import Observed, PodView, Waiting

from tests.support.jobs import SERVERS, at, child, failed_pod, pod, run, running_pod, started
from tests.support.jobs import training_job as job
from tests.support.plans import NOTHING, RUNNING, decide, intent, wire

ACTIVE = {"activeDeadlineSeconds": 60}
STARTING = {"preRunningDeadlineSeconds": 60}
RUNS = Observed(child(), (running_pod(),))
LIMIT = "not all pods ran within spec.preRunningDeadlineSeconds (60 s)"
MESSAGE = "the job did not end within spec.activeDeadlineSeconds (60 s)"
STOP = (Action(ActionKind.END_POD, name="mnist-1-0-x"),)


def reported(status: dict[str, Any]) -> dict[str, Any]:
    """The status once its conditions are stored."""
    return wire(decide(job(ACTIVE, status), RUNS, run("RUNNING"), at(1), SERVERS))


def test_a_deadline_that_is_not_over_is_looked_at_again_when_it_is() -> None:
    plan = decide(job(ACTIVE, reported(RUNNING)), RUNS, run("RUNNING"), at(20), SERVERS)
    assert plan == Plan(run=intent("RUNNING"), requeue_after=40.0)


def test_over_the_deadline_the_pods_are_stopped_first_and_then_the_end_is_recorded() -> None:
    late = decide(job(ACTIVE, reported(RUNNING)), RUNS, run("RUNNING"), at(60), SERVERS)
    assert (late.actions, late.run) == ((), intent("RUNNING"))
    assert late.events == (EventIntent("Normal", "Stopping", f"attempt 1: {MESSAGE}"),)
    stopping = wire(late)
    assert (stopping["state"], stopping["attempts"][0]["outcome"]) == ("Running", "Failed")
    assert stopping["failure"] == {"reason": "DeadlineExceeded", "message": MESSAGE}

    again = decide(job(ACTIVE, stopping), RUNS, run("RUNNING"), at(61), SERVERS)
    assert again == Plan(actions=STOP, run=intent("RUNNING"))
    ending = Observed(child(), (running_pod(ending=True),))
    waiting = decide(job(ACTIVE, stopping), ending, run("RUNNING"), at(62), SERVERS)
    assert waiting == Plan(run=intent("RUNNING"), requeue_after=30.0)

    end = decide(job(ACTIVE, stopping), NOTHING, run("RUNNING"), at(70), SERVERS)
    assert end.run == intent("FAILED", ended_at=at(70))
    assert end.events == (EventIntent("Warning", "DeadlineExceeded", MESSAGE),)
    status = wire(end)
    assert status["state"] == "Failed"
    assert status["failure"] == {"reason": "DeadlineExceeded", "message": MESSAGE}
    assert status["attempts"] == [
        {
            "attempt": 1,
            "job": "mnist-1",
            "startTime": "2026-01-01T00:00:00Z",
            "runningTime": "2026-01-01T00:00:05Z",
            "completionTime": "2026-01-01T00:01:10Z",
            "outcome": "Failed",
            "reason": "DeadlineExceeded",
            "message": MESSAGE,
        }
    ]


def test_a_job_that_is_done_before_it_is_stopped_has_succeeded() -> None:
    stopping = wire(decide(job(ACTIVE, RUNNING), RUNS, run("RUNNING"), at(60), SERVERS))
    done = Observed(child(complete=True, ended_at=at(60)), (pod(phase="Succeeded"),))
    end = wire(decide(job(ACTIVE, stopping), done, run("RUNNING"), at(61), SERVERS))
    assert (end["state"], end["attempts"][0]["outcome"]) == ("Succeeded", "Succeeded")
    assert "failure" not in end


def test_time_that_the_job_was_suspended_does_not_count() -> None:
    waited = reported({**RUNNING, "suspendedSeconds": 100})
    plan = decide(job(ACTIVE, waited), RUNS, run("RUNNING"), at(60), SERVERS)
    assert plan == Plan(run=intent("RUNNING"), requeue_after=100.0)


def test_the_deadline_of_the_job_holds_between_attempts_too() -> None:
    status = {**RUNNING, "state": "Restarting", "nextAttemptTime": "2026-01-01T00:02:00Z"}
    status["attempts"] = [
        {
            **RUNNING["attempts"][0],
            "completionTime": "2026-01-01T00:00:40Z",
            "outcome": "Failed",
            "reason": "Signal",
        }
    ]
    failed = child(failed=True, ended_at=at(40))
    observed = Observed(failed, (failed_pod(code=139),))
    before = decide(job(ACTIVE, status), observed, run(), at(41), SERVERS)
    assert before.requeue_after == 19.0
    end = decide(job(ACTIVE, status), observed, run(), at(60), SERVERS)
    assert end.run == intent("FAILED", ended_at=at(60))
    assert wire(end)["failure"]["reason"] == "DeadlineExceeded"
    assert wire(end)["attempts"] == status["attempts"]


CAUSES: list[Any] = [
    pytest.param(
        [pod(waiting=Waiting("ImagePullBackOff", "no such image"))],
        {
            "reason": "ImagePullBackOff",
            "message": f"{LIMIT}: pod mnist-1-0-x: no such image",
            "node": "node-0",
            "rank": 0,
        },
        id="image",
    ),
    pytest.param(
        [pod(waiting=Waiting("InvalidImageName", "bad"))],
        {
            "reason": "InvalidImageName",
            "message": f"{LIMIT}: pod mnist-1-0-x: bad",
            "node": "node-0",
            "rank": 0,
        },
        id="image-name",
    ),
    pytest.param(
        [running_pod(0), pod(1, waiting=Waiting("CreateContainerConfigError", "no secret"))],
        {
            "reason": "CreateContainerConfigError",
            "message": f"{LIMIT}: pod mnist-1-1-x: no secret",
            "node": "node-1",
            "rank": 1,
        },
        id="configuration-of-one-rank",
    ),
    pytest.param(
        [pod(node="", waiting=Waiting("Unschedulable", "0/3 nodes"))],
        {"reason": "Unschedulable", "message": f"{LIMIT}: pod mnist-1-0-x: 0/3 nodes", "rank": 0},
        id="no-node",
    ),
    pytest.param(
        [pod(waiting=Waiting("ContainerCreating", ""))],
        {"reason": "DeadlineExceeded", "message": LIMIT},
        id="just-slow",
    ),
    pytest.param([], {"reason": "DeadlineExceeded", "message": LIMIT}, id="no-pod-at-all"),
]


@pytest.mark.parametrize(("pods", "failure"), CAUSES)
def test_an_attempt_that_does_not_start_ends_with_what_it_waited_for(
    pods: list[PodView], failure: dict[str, Any]
) -> None:
    spec = {**STARTING, "numNodes": max(len(pods), 1), "backoffLimit": 5}
    observed = Observed(child(), tuple(pods))
    early = decide(job(spec, started()), observed, run(), at(59), SERVERS)
    assert early.requeue_after == 1.0
    stopping = wire(decide(job(spec, started()), observed, run(), at(60), SERVERS))
    assert stopping["failure"] == failure
    end = decide(job(spec, stopping), NOTHING, run(), at(61), SERVERS)
    assert (wire(end)["state"], wire(end)["failure"]) == ("Failed", failure)
    assert end.run == intent("FAILED", ended_at=at(61))


def test_the_deadline_of_the_start_is_over_when_all_pods_run() -> None:
    plan = decide(job(STARTING, reported(RUNNING)), RUNS, run("RUNNING"), at(600), SERVERS)
    assert plan == Plan(run=intent("RUNNING"))
