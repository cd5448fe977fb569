"""decide(): jobs that wait on purpose: suspended by their owner, or queued."""

from typing import Any

import pytest
from trainingjob_operator.core.intent import Action, ActionKind, EventIntent, Plan, RunView
from trainingjob_operator.core.observe import Observed

from tests.support.jobs import SERVERS, at, child, failed_pod, pod, run, running_pod, started
from tests.support.jobs import training_job as job
from tests.support.plans import NOTHING, NOW, RUNNING, condition, decide, intent, wire

SUSPEND = {"suspend": True}
QUEUE = {"queueName": "gpus"}
RUNS = Observed(child(), (running_pod(),))
SECOND = tuple({**dict(intent("SCHEDULED").tags), "trainingjob.attempt": "2"}.items())


def test_a_job_that_is_suspended_from_its_start_has_a_run_and_no_pod() -> None:
    plan = decide(job(SUSPEND), NOTHING, run(), NOW, SERVERS)
    assert (plan.actions, plan.run) == ((), intent("SCHEDULED"))
    assert plan.events == (EventIntent("Normal", "Suspended", "spec.suspend is true"),)
    status = wire(plan)
    assert (status["state"], status["attempt"]) == ("Suspended", 0)
    assert status["conditions"][:2] == [
        condition("Running", "False", "Suspended", "spec.suspend is true"),
        condition("Suspended", "True", "Suspended", "spec.suspend is true"),
    ]
    assert decide(job(SUSPEND, status), NOTHING, run(), at(99), SERVERS) == Plan(
        run=intent("SCHEDULED")
    )
    resumed = wire(decide(job(status=status), NOTHING, run(), at(99), SERVERS))
    assert (resumed["state"], resumed["attempt"]) == ("Starting", 1)
    assert resumed["startTime"] == "2026-01-01T00:01:39Z"
    assert "suspendedSeconds" not in resumed
    assert resumed["conditions"][1] == condition(
        "Suspended", "False", "Resumed", "spec.suspend is false", "2026-01-01T00:01:39Z"
    )


def test_a_running_job_is_suspended_when_its_last_pod_has_ended() -> None:
    begin = decide(job(SUSPEND, RUNNING), RUNS, run("RUNNING"), NOW, SERVERS)
    assert (begin.actions, begin.run) == ((), intent("RUNNING"))
    assert begin.events == (EventIntent("Normal", "Stopping", "attempt 1: spec.suspend is true"),)
    stopping = wire(begin)
    assert (stopping["state"], stopping["attempts"][0]["outcome"]) == ("Running", "Suspended")

    stop = Action(ActionKind.END_POD, name="mnist-1-0-x")
    assert decide(job(SUSPEND, stopping), RUNS, run("RUNNING"), at(31), SERVERS) == Plan(
        actions=(stop,), run=intent("RUNNING")
    )
    ending = Observed(child(), (running_pod(ending=True),))
    for resumed in ({}, SUSPEND):
        waiting = decide(job(resumed, stopping), ending, run("RUNNING"), at(32), SERVERS)
        assert waiting == Plan(run=intent("RUNNING"), requeue_after=30.0)

    ended = Observed(child(failed=True), (failed_pod(code=143, pod_reason="DeadlineExceeded"),))
    end = decide(job(SUSPEND, stopping), ended, run("RUNNING"), at(40), SERVERS)
    assert end.run == intent("SCHEDULED")
    status = wire(end)
    assert (status["state"], status["suspendedSince"]) == ("Suspended", "2026-01-01T00:00:40Z")
    assert status["attempts"] == [
        {
            "attempt": 1,
            "job": "mnist-1",
            "startTime": "2026-01-01T00:00:00Z",
            "runningTime": "2026-01-01T00:00:05Z",
            "completionTime": "2026-01-01T00:00:40Z",
            "outcome": "Suspended",
            "reason": "Suspended",
        }
    ]
    assert "runningTime" not in status

    next_attempt = decide(job(status=status), NOTHING, run(), at(100), SERVERS)
    assert next_attempt.run == intent("SCHEDULED", tags=SECOND)
    again = wire(next_attempt)
    assert (again["state"], again["attempt"]) == ("Starting", 2)
    assert again["suspendedSeconds"] == 60
    assert "suspendedSince" not in again
    assert "failedAttempts" not in again


STOPPED = Action(ActionKind.END_POD, name="mnist-1-0-x")


def test_a_job_that_ends_while_it_is_suspended_has_ended() -> None:
    done = Observed(child(complete=True, ended_at=at(30)), ())
    assert wire(decide(job(SUSPEND, RUNNING), done, run(), NOW, SERVERS))["state"] == "Succeeded"
    failed = Observed(child(failed=True, ended_at=at(20)), ())
    assert wire(decide(job(SUSPEND, RUNNING), failed, run(), NOW, SERVERS))["state"] == "Failed"


def test_a_running_job_that_its_owner_stops_has_ended_when_its_last_pod_has() -> None:
    stop = {"stop": True, "backoffLimit": 3, "suspend": True}
    begin = decide(job(stop, RUNNING), RUNS, run("RUNNING"), NOW, SERVERS)
    assert (begin.actions, begin.run) == ((), intent("RUNNING"))
    assert begin.events == (EventIntent("Normal", "Stopping", "attempt 1: spec.stop is true"),)
    stopping = wire(begin)
    assert (stopping["state"], stopping["attempts"][0]["outcome"]) == ("Running", "Stopped")
    assert decide(job(stop, stopping), RUNS, run("RUNNING"), at(31), SERVERS) == Plan(
        actions=(STOPPED,), run=intent("RUNNING")
    )
    ended = Observed(child(failed=True), (failed_pod(code=143, pod_reason="DeadlineExceeded"),))
    end = decide(job(stop, stopping), ended, run("RUNNING"), at(40), SERVERS)
    assert end.run is not None
    assert (end.run.status, end.run.ended_at) == ("KILLED", at(40))
    assert end.events == (EventIntent("Normal", "Stopped", "spec.stop is true"),)
    status = wire(end)
    assert (status["state"], status["completionTime"]) == ("Stopped", "2026-01-01T00:00:40Z")
    assert "failure" not in status
    then = "2026-01-01T00:00:40Z"
    updating = "the run is RUNNING, the operator is setting it to KILLED"
    assert status["conditions"] == [
        condition("Running", "False", "Ended", "the job has ended", then),
        condition("MLflowSynced", "Unknown", "Updating", updating, then),
        condition("Stopped", "True", "Stopped", "spec.stop is true", then),
    ]


@pytest.mark.parametrize("state", [None, "Pending", "Suspended"])
def test_a_job_without_an_attempt_is_stopped_at_once(state: str | None) -> None:
    waiting = job({"stop": True}, {"state": state})
    plan = decide(waiting, NOTHING, run(), NOW, SERVERS)
    status = wire(plan)
    assert (status["state"], status["attempts"]) == ("Stopped", [])
    assert plan.actions == ()
    assert plan.run is not None
    assert plan.run.status == "KILLED"


def test_a_job_that_waits_for_its_runtime_is_stopped_without_a_run() -> None:
    spec = {"stop": True, "runtimeRef": {"name": "gpu"}}
    failure = {"reason": "RuntimeNotFound", "message": "no such runtime"}
    plan = decide(job(spec, {"state": "Pending", "failure": failure}), NOTHING, run(), NOW, SERVERS)
    assert (plan.actions, plan.run) == ((), None)
    status = wire(plan)
    assert (status["state"], "failure" in status) == ("Stopped", False)


def test_a_stop_that_comes_after_the_end_changes_nothing() -> None:
    done = Observed(child(complete=True, ended_at=at(30)), ())
    ended = wire(decide(job({"stop": True}, RUNNING), done, run(), NOW, SERVERS))
    assert ended["state"] == "Succeeded"


def test_between_two_attempts_nothing_has_to_be_stopped() -> None:
    ended = {
        **RUNNING["attempts"][0],
        "completionTime": "2026-01-01T00:00:20Z",
        "outcome": "Failed",
    }
    status = {
        **RUNNING,
        "state": "Restarting",
        "attempts": [ended],
        "nextAttemptTime": "2026-01-01T00:00:40Z",
    }
    observed = Observed(child(failed=True, ended_at=at(20)), ())
    suspended = wire(decide(job(SUSPEND, status), observed, run(), NOW, SERVERS))
    assert suspended["state"] == "Suspended"
    assert suspended["attempts"] == [ended]
    assert "nextAttemptTime" not in suspended


def test_a_queued_job_waits_until_its_queue_admits_it() -> None:
    begun = wire(decide(job(QUEUE), NOTHING, run(), at(0), SERVERS))
    assert (begun["state"], begun["suspendedSince"]) == ("Queued", "2026-01-01T00:00:00Z")
    assert begun["conditions"][0] == condition(
        "Running", "False", "Queued", "the Job waits for its queue", "2026-01-01T00:00:00Z"
    )
    held = Observed(child(suspended=True), ())
    assert decide(job(QUEUE, begun), held, run(), at(20), SERVERS) == Plan(run=intent("SCHEDULED"))

    plan = decide(job(QUEUE, begun), Observed(child(), ()), run(), at(20), SERVERS)
    assert plan.events == (
        EventIntent("Normal", "Admitted", "attempt 1 was admitted by its queue"),
    )
    admitted = wire(plan)
    assert (admitted["state"], admitted["suspendedSeconds"]) == ("Starting", 20)
    assert admitted["attempts"][0]["startTime"] == "2026-01-01T00:00:20Z"


@pytest.mark.parametrize(
    ("pods", "state", "run_status"),
    [
        pytest.param((running_pod(deleting=True),), None, "RUNNING", id="its-pods-still-end"),
        pytest.param((), "Queued", "SCHEDULED", id="they-have-ended"),
    ],
)
def test_a_queue_may_take_its_admission_back(pods: Any, state: str | None, run_status: str) -> None:
    reported = wire(decide(job(QUEUE, RUNNING), RUNS, run("RUNNING"), at(6), SERVERS))
    observed = Observed(child(suspended=True), pods)
    plan = decide(job(QUEUE, reported), observed, run("RUNNING"), NOW, SERVERS)
    assert (plan.status.state if plan.status else None) == state
    assert plan.run == intent(run_status)


def test_a_job_admitted_again_runs_when_its_new_pods_do() -> None:
    reported = wire(decide(job(QUEUE, RUNNING), RUNS, run("RUNNING"), at(6), SERVERS))
    held = Observed(child(suspended=True), ())
    queued = wire(decide(job(QUEUE, reported), held, run("RUNNING"), NOW, SERVERS))
    waits = Observed(child(), (pod(),))
    starting = wire(decide(job(QUEUE, queued), waits, run(), at(40), SERVERS))
    assert (starting["state"], starting["suspendedSeconds"]) == ("Starting", 10)
    runs = Observed(child(), (running_pod(since=45),))
    running = wire(decide(job(QUEUE, starting), runs, run("RUNNING"), at(46), SERVERS))
    assert (running["state"], running["runningTime"]) == ("Running", "2026-01-01T00:00:45Z")


@pytest.mark.parametrize("status", [None, started()])
def test_a_job_that_another_controller_manages_is_left_alone(status: Any) -> None:
    other = job({"managedBy": "kueue.x-k8s.io/multikueue"}, status)
    assert decide(other, RUNS, RunView(), NOW, SERVERS) == Plan()
    ours = job({"managedBy": "trainingjob.dev/trainingjob-operator"}, status)
    assert decide(ours, NOTHING, RunView(), NOW, SERVERS).run is not None
