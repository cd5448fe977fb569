"""decide(): one table from what is stored and seen to what is done."""

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from trainingjob_operator.api import State
from trainingjob_operator.core.intent import (
    EventIntent,
    Plan,
    RunStatus,
    RunView,
)
from trainingjob_operator.core.observe import JobView, Observed, PodView, Waiting

from tests.support.jobs import (
    SERVERS,
    at,
    child,
    ended_pod,
    failed_pod,
    goodput,
    pod,
    run,
    running_pod,
    started,
    training_job,
)
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

SYNCED = condition("MLflowSynced", "True", "Confirmed", "the run's status is that of the job")


JOB = child()
OOM = failed_pod(code=137, reason="OOMKilled")

STATES = [
    pytest.param(started(), JOB, [], "Starting", "SCHEDULED", id="no-pod-yet"),
    pytest.param(started(), JOB, [pod()], "Starting", "SCHEDULED", id="pod-pending"),
    pytest.param(started(), JOB, [running_pod()], "Running", "RUNNING", id="pod-runs"),
    pytest.param(
        started(),
        child(complete=True, ended_at=at(20)),
        [],
        "Succeeded",
        "FINISHED",
        id="complete-before-it-was-seen-to-run",
    ),
    pytest.param(RUNNING, JOB, [running_pod()], "Running", "RUNNING", id="still-runs"),
    pytest.param(RUNNING, JOB, [], "Running", "RUNNING", id="pods-unseen-after-a-restart"),
    pytest.param(
        RUNNING, child(complete=True, ended_at=at(20)), [], "Succeeded", "FINISHED", id="complete"
    ),
    pytest.param(
        RUNNING, child(failed=True, ended_at=at(20)), [OOM], "Failed", "FAILED", id="failed"
    ),
    pytest.param(
        RUNNING, JOB, [ended_pod()], "Succeeded", "FINISHED", id="pods-succeeded-before-their-job"
    ),
    pytest.param(RUNNING, JOB, [OOM], "Failed", "FAILED", id="pods-failed-before-their-job"),
    pytest.param(
        RUNNING, JOB, [replace(OOM, deleting=True)], "Running", "RUNNING", id="pods-were-deleted"
    ),
    pytest.param(
        RUNNING, child(suspended=True), [OOM], "Queued", "SCHEDULED", id="the-queue-took-it-back"
    ),
    pytest.param(RUNNING, None, [], "Restarting", "SCHEDULED", id="the-job-was-taken-away"),
    pytest.param(
        started(),
        child(owner_uid=""),
        [],
        "Starting",
        "SCHEDULED",
        id="name-taken-by-a-foreign-job",
    ),
]


@pytest.mark.parametrize(("status", "job", "pods", "state", "run_status"), STATES)
def test_state_and_run_follow_the_pods(
    status: dict[str, Any], job: JobView | None, pods: list[PodView], state: str, run_status: str
) -> None:
    plan = decide(
        training_job(status=status), Observed(job, tuple(pods)), run(run_status), NOW, SERVERS
    )
    stored = plan.status.state if plan.status else State(status["state"])
    assert (stored, plan.run.status if plan.run else None) == (state, run_status)


def test_two_nodes_run_only_when_both_do() -> None:
    job = training_job({"numNodes": 2}, started())
    one = decide(job, Observed(child(), (running_pod(0), pod(1))), run(), NOW, SERVERS)
    both = Observed(child(), (running_pod(0, since=5), running_pod(1, since=9)))
    two = decide(job, both, run("RUNNING"), NOW, SERVERS)
    assert one.run == intent("SCHEDULED")
    assert wire(two)["runningTime"] == "2026-01-01T00:00:09Z"
    assert two.events == ()


def test_the_end_is_that_of_the_last_pod() -> None:
    job = training_job({"numNodes": 2}, RUNNING)
    one = Observed(child(), (ended_pod(0, finished=20), running_pod(1)))
    both = Observed(child(), (ended_pod(0, finished=20), ended_pod(1, finished=22)))
    assert decide(job, one, run("RUNNING"), NOW, SERVERS).run == intent("RUNNING")
    plan = decide(job, both, run("RUNNING"), NOW, SERVERS)
    assert plan.run == intent("FINISHED", ended_at=at(22))
    assert wire(plan)["completionTime"] == "2026-01-01T00:00:22Z"


def test_a_restart_waits_until_the_job_has_seen_the_failure() -> None:
    job = training_job({"backoffLimit": 1}, RUNNING)
    crashed = (failed_pod(code=139),)
    early = decide(job, Observed(child(), crashed), run("RUNNING"), NOW, SERVERS)
    assert (early.actions, early.run) == ((), intent("RUNNING"))
    later = decide(job, Observed(child(failing=True), crashed), run(), NOW, SERVERS)
    assert wire(later)["state"] == "Restarting"


def test_a_failure_is_reported_whole() -> None:
    observed = Observed(child(failed=True, ended_at=at(21)), (OOM,))
    plan = decide(training_job(status=RUNNING), observed, run("FAILED"), NOW, SERVERS)
    message = "the container used more memory than spec.resourcesPerNode.limits.memory"
    assert plan.run == intent("FAILED", ended_at=at(21))
    assert plan.events == (EventIntent("Warning", "OOMKilled", message),)
    assert wire(plan) == {
        "state": "Failed",
        "conditions": [
            condition("Running", "False", "Ended", "the job has ended"),
            condition("Failed", "True", "OOMKilled", message),
            SYNCED,
        ],
        "observedGeneration": 1,
        "numNodes": 1,
        "attempt": 1,
        "attempts": [
            {
                "attempt": 1,
                "job": "mnist-1",
                "startTime": "2026-01-01T00:00:00Z",
                "runningTime": "2026-01-01T00:00:05Z",
                "completionTime": "2026-01-01T00:00:21Z",
                "outcome": "Failed",
                "reason": "OOMKilled",
                "message": message,
                "exitCode": 137,
                "node": "node-0",
                "rank": 0,
            }
        ],
        "startTime": "2026-01-01T00:00:00Z",
        "runningTime": "2026-01-01T00:00:05Z",
        "completionTime": "2026-01-01T00:00:21Z",
        "goodput": goodput(starting=5, productive=16),
        "mlflow": {
            "trackingUri": "http://mlflow:5000",
            "experimentId": "7",
            "runId": "f00d",
            "status": "FAILED",
            "url": "https://mlflow.example.com/#/experiments/7/runs/f00d",
        },
        "failure": {"reason": "OOMKilled", "message": message, "node": "node-0", "rank": 0},
    }


def test_a_start_that_needs_a_hand_says_why_and_forgets_it_when_it_runs() -> None:
    stuck = pod(waiting=Waiting("ImagePullBackOff", "no such image"))
    plan = decide(training_job(status=started()), Observed(child(), (stuck,)), run(), NOW, SERVERS)
    message = "pod mnist-1-0-x: no such image"
    assert plan.events == (EventIntent("Warning", "ImagePullBackOff", message),)
    assert wire(plan)["failure"] == {
        "reason": "ImagePullBackOff",
        "message": message,
        "node": "node-0",
        "rank": 0,
    }

    reported = training_job(status=wire(plan))
    again = pod(waiting=Waiting("ImagePullBackOff", "back-off 10s"))
    assert decide(reported, Observed(child(), (again,)), run(), NOW, SERVERS).status is None
    pulled = decide(reported, Observed(child(), (pod(),)), run(), NOW, SERVERS)
    assert "failure" not in wire(pulled)
    runs = decide(reported, Observed(child(), (running_pod(),)), run("RUNNING"), NOW, SERVERS)
    assert "failure" not in wire(runs)


def test_a_job_of_an_earlier_trainingjob_is_waited_for() -> None:
    observed = Observed(child(owner_uid="u-0"), ())
    assert decide(training_job(status=started()), observed, run(), at(4), SERVERS) == Plan(
        run=intent("SCHEDULED"), requeue_after=2.0
    )
    late = decide(training_job(status=started()), observed, run(), at(5), SERVERS)
    assert wire(late)["failure"]["reason"] == "NameConflict"


def test_the_finalizer_goes_once_mlflow_has_the_same_end() -> None:
    finished = intent("FINISHED", ended_at=at(20))
    confirmed = {**ENDED, "mlflow": {**ENDED["mlflow"], "status": "FINISHED"}}
    reported = training_job(status=confirmed)
    closed = run(None, closed=True)
    assert decide(reported, HELD, closed, NOW, SERVERS) == Plan(actions=RELEASE, run=finished)
    left_open = decide(reported, HELD, run("FINISHED", closed=False), NOW, SERVERS)
    assert (left_open.actions, left_open.run) == ((), finished)
    waiting = decide(training_job(status=ENDED), HELD, run("RUNNING"), NOW, SERVERS)
    assert (waiting.actions, waiting.run) == ((), finished)
    assert decide(reported, NOTHING, RunView(), NOW, SERVERS) == Plan()


def test_progress_is_written_in_steps_of_ten_percent_or_once_a_minute() -> None:
    def view(percentage: float) -> RunView:
        metrics = {
            "progress/percentage": percentage,
            "progress/epoch": 2.0,
            "progress/step": 40.0,
            "progress/estimated_remaining_seconds": 61.4,
            "train/loss": 0.5,
            "system/cpu": 3.0,
        }
        return run("RUNNING", metrics=tuple(metrics.items()))

    observed = Observed(child(), (running_pod(),))
    job = training_job(status=RUNNING)
    first = wire(decide(job, observed, view(41.7), NOW, SERVERS))
    assert first["progress"] == {
        "percentage": 42,
        "completed": "42%",
        "epoch": 2,
        "step": 40,
        "estimatedRemainingSeconds": 61,
        "remaining": "1m1s",
        "metrics": {"train/loss": 0.5},
        "lastUpdateTime": "2026-01-01T00:00:30Z",
    }
    endless = run("RUNNING", metrics=(("progress/percentage", 9.0), ("progress/step", 1.8e308)))
    assert wire(decide(job, observed, endless, NOW, SERVERS))["progress"] == {
        "percentage": 9,
        "completed": "9%",
        "metrics": {},
        "lastUpdateTime": "2026-01-01T00:00:30Z",
    }
    reported = training_job(status=first)
    for percentage, seconds in ((51.4, 31), (50.0, 89), (42.4, 90), (42.4, 10_000)):
        assert decide(reported, observed, view(percentage), at(seconds), SERVERS).status is None
    for percentage, seconds, completed in ((51.6, 31, "52%"), (43.0, 90, "43%"), (100, 31, "100%")):
        latest = wire(decide(reported, observed, view(percentage), at(seconds), SERVERS))
        assert latest["progress"]["completed"] == completed


jobs = st.sampled_from(
    [None, child(), child(complete=True, ended_at=at(20)), child(failed=True, ended_at=at(20))]
)
pods = st.lists(
    st.sampled_from([pod(), running_pod(), OOM, pod(phase="Succeeded", started_at=at(5))]),
    max_size=1,
)
views = st.sampled_from(
    [RunView(), RunView(problem="down"), *(run(one.value) for one in RunStatus)]
)


@given(st.lists(st.tuples(jobs, pods, views), min_size=1, max_size=8))
def test_whatever_is_seen_terminal_never_reverses_and_a_second_look_changes_nothing(
    seen: list[tuple[JobView | None, list[PodView], RunView]],
) -> None:
    job = training_job()
    ended: State | None = None
    for number, (child_job, pod_list, view) in enumerate(seen):
        observed, now = Observed(child_job, tuple(pod_list)), at(30 + number)
        plan = decide(job, observed, view, now, SERVERS)
        if plan.status is not None:
            job = training_job(status=wire(plan))
            again = decide(job, observed, view, now, SERVERS)
            assert again.status is None or again.status.state != job.status.state
        if ended is not None:
            assert job.status.state == ended
        if job.status.state in (State.SUCCEEDED, State.FAILED):
            ended = job.status.state
