"""decide(): an attempt that failed and may be followed by another."""

from typing import Any

import pytest
from trainingjob_operator.core import manifests
from trainingjob_operator.core.intent import Action, ActionKind, EventIntent, Plan, RunView
from trainingjob_operator.core.observe import JobView, Observed, PodView

from tests.support.jobs import (
    RUN,
    SERVERS,
    TRACKING,
    at,
    child,
    failed_pod,
    goodput,
    pod,
    run,
    running_pod,
    training_job,
)
from tests.support.plans import NOTHING, NOW, RUNNING, condition, decide, intent, wire

FAILED = child(failed=True, reason="BackoffLimitExceeded", message="too many", ended_at=at(21))
SYNCED = condition("MLflowSynced", "True", "Confirmed", "the run's status is that of the job")

CODES: list[Any] = [
    pytest.param(1, "Error", {}, "Failed", id="1-to-127-do-not"),
    pytest.param(127, "Error", {}, "Failed", id="127"),
    pytest.param(128, "Error", {}, "Restarting", id="128-to-255-do"),
    pytest.param(128, "StartError", {}, "Failed", id="a-command-that-is-not-there-does-not"),
    pytest.param(
        127,
        "ContainerCannotRun",
        {"retryableExitCodes": [127]},
        "Failed",
        id="whatever-the-list-says",
    ),
    pytest.param(255, "Error", {}, "Restarting", id="255"),
    pytest.param(137, "Error", {}, "Restarting", id="sigkill"),
    pytest.param(137, "OOMKilled", {}, "Failed", id="out-of-memory-does-not"),
    pytest.param(
        137, "OOMKilled", {"retryableExitCodes": [137]}, "Restarting", id="unless-it-is-listed"
    ),
    pytest.param(42, "Error", {"retryableExitCodes": [42]}, "Restarting", id="listed-to-retry"),
    pytest.param(
        139, "Error", {"nonRetryableExitCodes": [139]}, "Failed", id="listed-not-to-retry"
    ),
    pytest.param(
        42,
        "Error",
        {"retryableExitCodes": [42], "nonRetryableExitCodes": [42]},
        "Failed",
        id="listed-in-both",
    ),
]


@pytest.mark.parametrize(("code", "reason", "retry", "state"), CODES)
def test_which_exit_codes_are_retried(
    code: int, reason: str, retry: dict[str, Any], state: str
) -> None:
    job = training_job({"backoffLimit": 1, "retry": retry}, RUNNING)
    observed = Observed(FAILED, (failed_pod(code=code, reason=reason),))
    assert wire(decide(job, observed, run(), NOW, SERVERS))["state"] == state


def test_a_pod_that_never_ran_has_no_code_that_speaks_against_a_retry() -> None:
    refused = pod(phase="Failed", reason="UnexpectedAdmissionError")
    job = training_job({"backoffLimit": 1}, RUNNING)
    plan = decide(job, Observed(FAILED, (refused,)), run(), NOW, SERVERS)
    assert wire(plan)["state"] == "Restarting"


def test_a_restart_is_reported_whole() -> None:
    job = training_job({"backoffLimit": 3}, RUNNING)
    plan = decide(job, Observed(FAILED, (failed_pod(code=139),)), run(), NOW, SERVERS)
    message = "the container was ended by SIGSEGV"
    assert (plan.actions, plan.run) == ((), intent("SCHEDULED"))
    assert plan.events == (
        EventIntent(
            "Warning",
            "Restarting",
            f"attempt 1 failed, Signal: {message}; attempt 2 follows in 10 s",
        ),
    )
    assert wire(plan) == {
        "state": "Restarting",
        "conditions": [condition("Running", "False", "Signal", message), SYNCED],
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
                "reason": "Signal",
                "message": message,
                "exitCode": 139,
                "node": "node-0",
                "rank": 0,
            }
        ],
        "startTime": "2026-01-01T00:00:00Z",
        "goodput": goodput(starting=5, lost=16),
        "failedAttempts": 1,
        "nextAttemptTime": "2026-01-01T00:00:40Z",
        "mlflow": {
            "trackingUri": "http://mlflow:5000",
            "experimentId": "7",
            "runId": "f00d",
            "status": "SCHEDULED",
            "url": "https://mlflow.example.com/#/experiments/7/runs/f00d",
        },
        "failure": {"reason": "Signal", "message": message, "node": "node-0", "rank": 0},
    }


@pytest.mark.parametrize(
    ("before", "delay"), [(0, 10), (1, 20), (2, 40), (4, 160), (5, 300), (900, 300)]
)
def test_the_delay_doubles_up_to_five_minutes(before: int, delay: int) -> None:
    job = training_job({"backoffLimit": 1000}, {**RUNNING, "failedAttempts": before})
    plan = decide(job, Observed(FAILED, (failed_pod(code=139),)), run(), NOW, SERVERS)
    assert plan.status is not None
    assert plan.status.next_attempt_time == at(30 + delay)


def test_the_last_failure_names_the_limit_and_its_own_cause() -> None:
    job = training_job({"backoffLimit": 2}, {**RUNNING, "failedAttempts": 2})
    plan = decide(job, Observed(FAILED, (failed_pod(code=139),)), run(), NOW, SERVERS)
    status = wire(plan)
    assert status["state"] == "Failed"
    assert status["failure"] == {
        "reason": "BackoffLimitExceeded",
        "message": "3 attempts failed, 2 are allowed; the last one: "
        "Signal: the container was ended by SIGSEGV",
        "node": "node-0",
        "rank": 0,
    }
    assert status["attempts"][0]["reason"] == "Signal"
    assert plan.run == intent("FAILED", ended_at=at(21))


RESTARTING = wire(
    decide(
        training_job({"backoffLimit": 3}, RUNNING),
        Observed(FAILED, (failed_pod(code=139),)),
        run(),
        NOW,
        SERVERS,
    )
)
WAITS: list[Any] = [
    pytest.param(FAILED, [], 39, 1.0, id="the-delay-is-not-over"),
    pytest.param(FAILED, [running_pod(deleting=True)], 40, 30.0, id="a-pod-still-ends"),
    pytest.param(child(failing=True), [], 40, 30.0, id="its-job-has-not-ended"),
    pytest.param(None, [running_pod(ending=True)], 40, 30.0, id="a-pod-without-its-job"),
]


@pytest.mark.parametrize(("job", "pods", "second", "again"), WAITS)
def test_the_next_attempt_waits(
    job: JobView | None, pods: list[PodView], second: int, again: float
) -> None:
    restarting = training_job({"backoffLimit": 3}, RESTARTING)
    plan = decide(restarting, Observed(job, tuple(pods)), run(), at(second), SERVERS)
    assert plan == Plan(run=intent("SCHEDULED"), requeue_after=again)


def test_a_job_that_shows_up_after_its_attempt_is_over_is_ended() -> None:
    restarting = training_job({"backoffLimit": 3}, RESTARTING)
    plan = decide(restarting, Observed(child(), ()), run(), at(40), SERVERS)
    end = Action(ActionKind.END_JOB, name="mnist-1")
    assert plan == Plan(actions=(end,), run=intent("SCHEDULED"))


SECOND = child(name="mnist-2", uid="j-2", created_at=at(40))
SECOND_TAGS = tuple({**dict(intent("SCHEDULED").tags), "trainingjob.attempt": "2"}.items())


@pytest.mark.parametrize("job", [FAILED, None])
def test_the_next_attempt_starts_though_ended_pods_are_kept(job: JobView | None) -> None:
    restarting = training_job({"backoffLimit": 3}, RESTARTING)
    earlier = (job,) if job else ()
    plan = decide(
        restarting, Observed(None, (failed_pod(code=139),), earlier), run(), at(40), SERVERS
    )
    manifest = manifests.child_job(restarting, 2, RUN, TRACKING)
    assert plan == Plan(
        actions=(Action(ActionKind.CREATE_JOB, manifest=manifest),),
        run=intent("SCHEDULED", tags=SECOND_TAGS),
    )


def test_the_next_attempt_waits_for_the_run_where_its_id_is_not_known_yet() -> None:
    unknown = {name: value for name, value in RESTARTING.items() if name != "mlflow"}
    restarting = training_job({"backoffLimit": 3}, unknown)
    plan = decide(restarting, NOTHING, RunView(), at(40), SERVERS)
    assert (plan.actions, plan.requeue_after) == ((), 30.0)
    assert plan.run is not None
    down = decide(restarting, NOTHING, RunView(problem="down"), at(40), SERVERS)
    assert [action.kind for action in down.actions] == [ActionKind.CREATE_JOB]


def test_a_restarted_attempt_that_starts_in_time_is_first_reported_when_it_runs() -> None:
    restarting = training_job({"backoffLimit": 3}, RESTARTING)
    pods = (failed_pod(code=139), pod(attempt=2))
    starts = decide(restarting, Observed(SECOND, pods, (FAILED,)), run(), at(44), SERVERS)
    assert starts == Plan(run=intent("SCHEDULED", tags=SECOND_TAGS), requeue_after=1.0)

    pods = (failed_pod(code=139), running_pod(attempt=2, since=45))
    runs = decide(restarting, Observed(SECOND, pods, (FAILED,)), run("RUNNING"), at(46), SERVERS)
    status = wire(runs)
    assert (status["state"], status["attempt"], status["failedAttempts"]) == ("Running", 2, 1)
    assert status["attempts"][1] == {
        "attempt": 2,
        "job": "mnist-2",
        "startTime": "2026-01-01T00:00:40Z",
        "runningTime": "2026-01-01T00:00:45Z",
    }
    assert "failure" not in status
    assert "nextAttemptTime" not in status


def test_a_restarted_attempt_that_takes_long_to_start_is_reported_before_it_runs() -> None:
    restarting = training_job({"backoffLimit": 3}, RESTARTING)
    plan = decide(restarting, Observed(SECOND, (pod(attempt=2),)), run(), at(50), SERVERS)
    status = wire(plan)
    assert (status["state"], status["attempt"]) == ("Starting", 2)
    assert status["attempts"][1] == {
        "attempt": 2,
        "job": "mnist-2",
        "startTime": "2026-01-01T00:00:40Z",
    }


def test_a_restarted_attempt_is_looked_at_when_its_deadline_is_over() -> None:
    spec = {"backoffLimit": 3, "preRunningDeadlineSeconds": 3}
    restarting, starts = training_job(spec, RESTARTING), Observed(SECOND, (pod(attempt=2),))
    assert decide(restarting, starts, run(), at(41), SERVERS).requeue_after == 2.0
    late = wire(decide(restarting, starts, run(), at(43), SERVERS))
    assert late["attempts"][1]["reason"] == "DeadlineExceeded"


def test_only_the_last_ten_attempts_are_kept() -> None:
    attempts = [{"attempt": number, "outcome": "Failed"} for number in range(1, 11)]
    attempts[-1]["completionTime"] = "2026-01-01T00:00:00Z"
    job = training_job(status={**RESTARTING, "attempt": 10, "attempts": attempts})
    next_one = child(name="mnist-11", uid="j-11", created_at=at(30))
    status = wire(decide(job, Observed(next_one, ()), run(), at(40), SERVERS))
    assert [one["attempt"] for one in status["attempts"]] == list(range(2, 12))


def test_a_failed_job_whose_pod_is_not_seen_yet_is_looked_at_again() -> None:
    job = training_job({"backoffLimit": 1}, RUNNING)
    early = decide(job, Observed(FAILED, (running_pod(),)), run("RUNNING"), at(23), SERVERS)
    assert (early.status and early.status.state, early.requeue_after) == ("Running", 5.0)
    late = decide(job, Observed(FAILED, ()), run(), at(26), SERVERS)
    assert wire(late)["attempts"][0]["reason"] == "BackoffLimitExceeded"


def test_a_failure_waits_until_the_other_ranks_have_ended() -> None:
    failing = child(failing=True, ended_at=at(21))
    observed = Observed(failing, (failed_pod(0, code=139), running_pod(1, deleting=True)))
    job = training_job({"backoffLimit": 1, "numNodes": 2}, RUNNING)
    plan = decide(job, observed, run("RUNNING"), NOW, SERVERS)
    assert (plan.actions, plan.run) == ((), intent("RUNNING"))


def test_a_deleted_child_job_is_a_failed_attempt() -> None:
    job = training_job({"backoffLimit": 1}, RUNNING)
    ending = Observed(None, (running_pod(deleting=True),))
    assert decide(job, ending, run("RUNNING"), NOW, SERVERS).run == intent("RUNNING")
    gone = wire(decide(job, Observed(None, ()), run(), NOW, SERVERS))
    assert (gone["state"], gone["failure"]["reason"]) == ("Restarting", "JobDeleted")
