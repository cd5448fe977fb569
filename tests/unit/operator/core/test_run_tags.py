"""decide(): what the tags of the run say of attempts, failures and time."""

import json
from typing import Any

import pytest
from trainingjob_operator.core.decide import decide
from trainingjob_operator.core.observe import Observed

from tests.support.jobs import SERVERS, at, child, failed_pod, run, running_pod
from tests.support.jobs import training_job as job
from tests.support.plans import ENDED, NOTHING, NOW, RUNNING, wire

OURS = {
    "trainingjob.uid": "u-1",
    "trainingjob.name": "mnist",
    "trainingjob.namespace": "ml",
    "trainingjob.attempt": "1",
    "trainingjob.image": "trainer:1",
    "mlflow.source.name": "trainer:1",
    "mlflow.source.type": "JOB",
}
TOLD = json.dumps(
    {
        "reason": "UserException",
        "message": "bad",
        "frame": "train.py:12 in step",
        "rank": 3,
        "epoch": 1,
        "step": 40,
    }
)
FAILURE = {
    "attempt": "1",
    "reason": "UserException",
    "message": "bad (train.py:12 in step)",
    "exit_code": "139",
    "node": "node-0",
    "rank": "0",
    "global_rank": "3",
    "frame": "train.py:12 in step",
    "epoch": "1",
    "step": "40",
}
EVICTED = {
    **dict.fromkeys(FAILURE, ""),
    "attempt": "1",
    "reason": "Evicted",
    "message": "pod mnist-1-0-x was evicted from its node",
    "exit_code": "143",
    "node": "node-0",
    "rank": "0",
}
FAILED = child(failed=True, ended_at=at(25))


def tags(outcome: str, failure: dict[str, str], **seconds: int) -> dict[str, str]:
    kinds = {"queued": 0, "starting": 5, "productive": 0, "lost": 0, **seconds}
    return {
        **OURS,
        "trainingjob.outcome": outcome,
        **{f"trainingjob.failure.{name}": value for name, value in failure.items()},
        **{f"trainingjob.goodput.{kind}_seconds": str(value) for kind, value in kinds.items()},
    }


SEEN: list[Any] = [
    pytest.param({}, RUNNING, Observed(child(), (running_pod(),)), OURS, id="nothing-at-its-start"),
    pytest.param(
        {},
        RUNNING,
        Observed(child(complete=True, ended_at=at(25)), ()),
        tags("Succeeded", {}, productive=20),
        id="success",
    ),
    pytest.param(
        {"backoffLimit": 1},
        RUNNING,
        Observed(FAILED, (failed_pod(code=139, message=TOLD),)),
        tags("Failed", FAILURE, lost=20),
        id="a-failure-that-is-retried",
    ),
    pytest.param(
        {},
        RUNNING,
        Observed(FAILED, (failed_pod(code=139, message=TOLD),)),
        tags("Failed", FAILURE, productive=20),
        id="a-failure-for-good",
    ),
    pytest.param(
        {},
        RUNNING,
        Observed(FAILED, (failed_pod(code=143, disruption="EvictionByEvictionAPI"),)),
        tags("Disrupted", EVICTED, lost=20),
        id="a-disruption",
    ),
]


@pytest.mark.parametrize(("spec", "status", "observed", "expected"), SEEN)
def test_what_became_of_the_attempt(
    spec: dict[str, Any], status: dict[str, Any], observed: Observed, expected: dict[str, str]
) -> None:
    plan = decide(job(spec, status), observed, run("RUNNING"), NOW, SERVERS)
    assert plan.run is not None
    assert dict(plan.run.tags) == expected
    stored = decide(job(spec, wire(plan)), observed, run("RUNNING"), NOW, SERVERS)
    assert stored.run is None or dict(stored.run.tags) == expected


def test_the_limit_is_the_cause_of_the_job_and_the_attempt_has_its_own() -> None:
    status = {**RUNNING, "failedAttempts": 1}
    observed = Observed(FAILED, (failed_pod(code=139, message=TOLD),))
    plan = decide(job({"backoffLimit": 1}, status), observed, run(), NOW, SERVERS)
    assert plan.run is not None
    reported = dict(plan.run.tags)
    assert reported["trainingjob.failure.reason"] == "BackoffLimitExceeded"
    assert reported["trainingjob.failure.frame"] == "train.py:12 in step"


def test_the_next_attempt_still_shows_the_failure_before_it() -> None:
    """Who stored that failure may not have lived to tell MLflow."""
    restarted = wire(
        decide(
            job({"backoffLimit": 1}, RUNNING),
            Observed(FAILED, (failed_pod(code=139, message=TOLD),)),
            run("RUNNING"),
            NOW,
            SERVERS,
        )
    )
    second = child(name="mnist-2", created_at=at(32))
    plan = decide(
        job({"backoffLimit": 1}, restarted),
        Observed(second, (running_pod(attempt=2, since=33),)),
        run(),
        at(34),
        SERVERS,
    )
    assert plan.run is not None
    reported = {name: value for name, value in plan.run.tags if ".failure." in name}
    assert reported == {f"trainingjob.failure.{name}": value for name, value in FAILURE.items()}


def test_a_deleted_job() -> None:
    deleted = job(status=RUNNING, deletionTimestamp="2026-01-01T00:00:25Z")
    plan = decide(deleted, NOTHING, run("RUNNING"), NOW, SERVERS)
    assert plan.run is not None
    page = ("mlflow.source.name", "mlflow.source.type", "trainingjob.image")
    expected = tags("Deleted", {}, productive=20)
    # An operator that knows the job from its Job only could not tell what the run's page shows.
    assert dict(plan.run.tags) == {k: v for k, v in expected.items() if k not in page}


def test_a_job_that_had_ended_keeps_its_outcome() -> None:
    deleted = job(status=ENDED, deletionTimestamp="2026-01-01T00:00:25Z")
    plan = decide(deleted, NOTHING, run("FINISHED"), NOW, SERVERS)
    assert plan.run is not None
    assert dict(plan.run.tags)["trainingjob.outcome"] == "Succeeded"
