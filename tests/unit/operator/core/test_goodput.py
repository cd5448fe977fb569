"""Where the time of a job goes: each second into one sum, from what is stored."""

from typing import Any

import pytest
from trainingjob_operator.core import goodput as policy
from trainingjob_operator.core.observe import JobView, Observed, PodView

from tests.support.jobs import SERVERS, at, child, failed_pod, goodput, run, running_pod, started
from tests.support.jobs import training_job as job
from tests.support.plans import NOTHING, NOW, RUNNING, decide, wire

CHECKPOINT = {
    "checkpoint": {"volume": "data", "path": "/checkpoints", "everySeconds": 10},
    "volumes": [{"name": "data", "persistentVolumeClaim": {"claimName": "data"}}],
}
RETRY = {"backoffLimit": 1}
STARTING = started(goodput=goodput(queued=2))
RESTARTING = {
    **RUNNING,
    "state": "Restarting",
    "attempts": [
        {**RUNNING["attempts"][0], "completionTime": "2026-01-01T00:00:21Z", "outcome": "Failed"}
    ],
    "goodput": goodput(starting=5, lost=16),
}

CHANGES: list[Any] = [
    pytest.param(
        {},
        None,
        child(created_at=at(24)),
        [running_pod(since=28)],
        goodput(queued=24, starting=4),
        id="the-first-attempt-runs",
    ),
    pytest.param(
        {},
        STARTING,
        child(),
        [running_pod(since=12)],
        goodput(queued=2, starting=10),
        id="the-pods-run-since-a-moment-before-it-was-seen",
    ),
    pytest.param(
        {},
        STARTING,
        child(complete=True, ended_at=at(20)),
        [running_pod(since=12)],
        goodput(queued=2, starting=10, productive=8),
        id="it-was-never-seen-to-run",
    ),
    pytest.param(
        {},
        RUNNING,
        child(complete=True, ended_at=at(25)),
        [],
        goodput(starting=5, productive=20),
        id="success-counts-to-the-end-of-the-job",
    ),
    pytest.param(
        {},
        RUNNING,
        child(failed=True, ended_at=at(25)),
        [failed_pod(code=1)],
        goodput(starting=5, productive=20),
        id="a-failure-for-good-is-no-restart",
    ),
    pytest.param(
        RETRY,
        RUNNING,
        child(failed=True, ended_at=at(25)),
        [failed_pod(code=139)],
        goodput(starting=5, lost=20),
        id="without-a-checkpoint-the-attempt-is-lost",
    ),
    pytest.param(
        {**RETRY, **CHECKPOINT},
        RUNNING,
        child(failed=True, ended_at=at(25)),
        [failed_pod(code=139)],
        goodput(starting=5, productive=10, lost=10),
        id="with-one-at-most-the-time-since-it",
    ),
    pytest.param(
        CHECKPOINT,
        RUNNING,
        child(failed=True, ended_at=at(25)),
        [failed_pod(code=143, disruption="EvictionByEvictionAPI")],
        goodput(starting=5, productive=20),
        id="the-trainer-answered-sigterm-with-a-checkpoint",
    ),
    pytest.param(
        {},
        RESTARTING,
        child(name="mnist-2", created_at=at(25)),
        [running_pod(attempt=2, since=28)],
        goodput(starting=5 + 3, lost=16 + 4),
        id="between-attempts-it-is-lost",
    ),
    pytest.param(
        {"suspend": True},
        RESTARTING,
        None,
        [],
        goodput(starting=5, lost=25),
        id="suspended-between-attempts",
    ),
    pytest.param(
        {},
        {**RESTARTING, "state": "Suspended"},
        None,
        [],
        goodput(queued=9, starting=5, lost=16),
        id="resumed",
    ),
    pytest.param(
        {"queueName": "gpus"},
        RUNNING,
        child(suspended=True),
        [],
        goodput(starting=5, lost=25),
        id="a-queue-takes-its-admission-back",
    ),
]


@pytest.mark.parametrize(("spec", "status", "child_job", "pods", "expected"), CHANGES)
def test_a_change_of_state_adds_up(
    spec: dict[str, Any],
    status: dict[str, Any] | None,
    child_job: JobView | None,
    pods: list[PodView],
    expected: dict[str, Any],
) -> None:
    plan = decide(job(spec, status), Observed(child_job, tuple(pods)), run(), NOW, SERVERS)
    assert wire(plan)["goodput"] == expected


def test_nothing_is_written_for_it() -> None:
    runs = Observed(child(), (running_pod(),))
    reported = wire(decide(job(status=RUNNING), runs, run("RUNNING"), NOW, SERVERS))
    assert reported["goodput"] == RUNNING["goodput"]
    assert decide(job(status=reported), runs, run("RUNNING"), at(500), SERVERS).status is None


def test_the_time_since_the_last_change_is_of_the_present_state() -> None:
    sums = policy.as_of(job(status=RUNNING), at(65))
    assert sums is not None
    assert (sums.starting_seconds, sums.productive_seconds) == (5, 60)
    ended = {**RUNNING, "state": "Succeeded"}
    assert policy.as_of(job(status=ended), at(65)) == job(status=ended).status.goodput


def test_a_stopped_attempt_counts_until_its_last_pod_has_ended() -> None:
    suspended = job({"suspend": True, **CHECKPOINT}, RUNNING)
    runs = Observed(child(), (running_pod(),))
    stopping = wire(decide(suspended, runs, run("RUNNING"), NOW, SERVERS))
    assert stopping["goodput"] == RUNNING["goodput"]
    stopped = job({"suspend": True, **CHECKPOINT}, stopping)
    plan = decide(stopped, NOTHING, run("RUNNING"), at(40), SERVERS)
    assert wire(plan)["goodput"] == goodput(starting=5, productive=35)
