"""decide(): attempts that the cluster ended are not charged to the backoffLimit."""

from dataclasses import replace
from typing import Any

import pytest
from trainingjob_operator.core.observe import JobView, Observed, PodView

from tests.support.jobs import (
    SERVERS,
    at,
    child,
    failed_pod,
    pod,
    run,
    running_pod,
    training_job,
)
from tests.support.plans import NOW, RUNNING, decide, intent, wire

FAILED = child(failed=True, reason="PodFailurePolicy", message="matched rule 0", ended_at=at(21))


def evicted(rank: int = 0, **more: Any) -> PodView:
    return failed_pod(rank, code=143, disruption="EvictionByEvictionAPI", **more)


REASONS: list[Any] = [
    ("PreemptionByScheduler", "Preempted", "made room for a pod of higher priority"),
    ("EvictionByEvictionAPI", "Evicted", "was evicted from its node"),
    ("TerminationByKubelet", "Evicted", "was evicted from its node"),
    ("DeletionByTaintManager", "NodeLost", "lost its node"),
    ("DeletionByPodGC", "NodeLost", "lost its node"),
    ("SomethingNew", "Disrupted", "was disrupted: SomethingNew"),
]


@pytest.mark.parametrize(("condition", "reason", "what"), REASONS)
def test_who_ended_the_pod_is_the_reason(condition: str, reason: str, what: str) -> None:
    observed = Observed(FAILED, (failed_pod(code=143, disruption=condition),))
    status = wire(decide(training_job(status=RUNNING), observed, run(), NOW, SERVERS))
    assert (status["state"], status["disruptions"]) == ("Restarting", 1)
    assert "failedAttempts" not in status
    assert status["failure"] == {
        "reason": reason,
        "message": f"pod mnist-1-0-x {what}",
        "node": "node-0",
        "rank": 0,
    }
    assert (status["attempts"][0]["outcome"], status["attempts"][0]["exitCode"]) == (
        "Disrupted",
        143,
    )
    assert status["nextAttemptTime"] == "2026-01-01T00:00:31Z"


SEEN: list[Any] = [
    pytest.param(FAILED, [evicted()], "Restarting", id="the-pod-is-there"),
    pytest.param(FAILED, [], "Restarting", id="the-pod-is-gone-its-job-has-it"),
    pytest.param(
        FAILED,
        [pod(phase="Failed", disruption="DeletionByPodGC")],
        "Restarting",
        id="a-pod-that-never-ran",
    ),
    pytest.param(
        child(failing=True, ended_at=at(21)),
        [failed_pod(0, code=1), running_pod(1, disruption="EvictionByEvictionAPI")],
        "Restarting",
        id="another-rank-failed-first-since-this-one-went",
    ),
    pytest.param(
        child(failed=True, ended_at=at(21)),
        [failed_pod(code=137, pod_reason="Evicted")],
        "Failed",
        id="evicted-for-its-own-limit-of-disk",
    ),
    pytest.param(
        child(),
        [running_pod(disruption="PreemptionByScheduler")],
        "Running",
        id="announced-and-not-done",
    ),
]


@pytest.mark.parametrize(("job", "pods", "state"), SEEN)
def test_what_counts_as_a_disruption(job: JobView, pods: list[PodView], state: str) -> None:
    owner = training_job({"numNodes": len(pods) or 1}, RUNNING)
    plan = decide(owner, Observed(job, tuple(pods)), run("RUNNING"), NOW, SERVERS)
    assert wire(plan)["state"] == state


def test_a_pod_that_is_gone_already_shows_who_ended_it() -> None:
    earlier = replace(failed_pod(code=1), attempt=0)
    observed = Observed(FAILED, (), gone=(evicted(), earlier))
    status = wire(decide(training_job(status=RUNNING), observed, run(), NOW, SERVERS))
    assert status["failure"] == {
        "reason": "Evicted",
        "message": "pod mnist-1-0-x was evicted from its node",
        "node": "node-0",
        "rank": 0,
    }
    assert status["attempts"][0]["exitCode"] == 143


def test_disruptions_have_their_own_bound() -> None:
    observed = Observed(FAILED, (evicted(),))
    within = training_job(status={**RUNNING, "disruptions": 99})
    assert wire(decide(within, observed, run(), NOW, SERVERS))["state"] == "Restarting"
    above = training_job(status={**RUNNING, "disruptions": 100})
    plan = decide(above, observed, run(), NOW, SERVERS)
    assert plan.run == intent("FAILED", ended_at=at(21))
    assert wire(plan)["failure"] == {
        "reason": "DisruptionLimitExceeded",
        "message": "101 attempts were disrupted, 100 are allowed; the last one: "
        "Evicted: pod mnist-1-0-x was evicted from its node",
        "node": "node-0",
        "rank": 0,
    }


@pytest.mark.parametrize(("before", "delay"), [(0, 1), (1, 2), (5, 32), (6, 60), (99, 60)])
def test_the_delay_doubles_up_to_a_minute(before: int, delay: int) -> None:
    job = training_job(status={**RUNNING, "disruptions": before})
    plan = decide(job, Observed(FAILED, (evicted(),)), run(), NOW, SERVERS)
    assert plan.status is not None
    assert plan.status.next_attempt_time == at(30 + delay)
