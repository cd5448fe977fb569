"""decide(): what becomes of an attempt whose objects the API server does not take."""

from dataclasses import replace
from typing import Any

from trainingjob_operator.core.intent import ActionKind, EventIntent
from trainingjob_operator.core.observe import Observed, Refusal

from tests.support.jobs import SERVERS, at, child, run, started, training_job
from tests.support.plans import NOTHING, NOW, decide, wire

QUOTA = Refusal("FailedCreate", "the API server refuses Job mnist-1: exceeded quota", final=False)
INVALID = Refusal("InvalidSpec", "the API server refuses Job mnist-1: must not", final=True)


def condition(status: dict[str, Any], kind: str) -> tuple[str, str, str]:
    found = next(one for one in status["conditions"] if one["type"] == kind)
    return found["status"], found["reason"], found["message"]


def test_a_refusal_that_may_pass_is_reported_once_and_tried_again() -> None:
    refused = replace(NOTHING, refusal=QUOTA)
    plan = decide(training_job(status=started()), refused, run(), NOW, SERVERS)
    reported = wire(plan)
    assert plan.actions == ()
    assert plan.events == (EventIntent("Warning", QUOTA.reason, QUOTA.message),)
    assert (reported["state"], reported["failure"]) == (
        "Starting",
        {"reason": QUOTA.reason, "message": QUOTA.message},
    )
    assert condition(reported, "Running") == ("False", QUOTA.reason, QUOTA.message)

    again = decide(training_job(status=reported), refused, run(), NOW, SERVERS)
    assert [action.kind for action in again.actions] == [ActionKind.CREATE_JOB]
    assert (again.status, again.events) == (None, ())

    taken = decide(training_job(status=reported), Observed(child(), ()), run(), at(2), SERVERS)
    assert "failure" not in wire(taken)


def test_a_queued_job_reports_it_too() -> None:
    job = training_job({"queueName": "gpus"}, started("Queued"))
    reported = wire(decide(job, replace(NOTHING, refusal=QUOTA), run(), NOW, SERVERS))
    assert condition(reported, "Running") == ("False", QUOTA.reason, QUOTA.message)


def test_a_refusal_for_good_ends_the_job() -> None:
    job = training_job({"backoffLimit": 3}, started())
    plan = decide(job, replace(NOTHING, refusal=INVALID), run(), NOW, SERVERS)
    assert (wire(plan)["state"], wire(plan)["failure"]) == (
        "Failed",
        {"reason": INVALID.reason, "message": INVALID.message},
    )
    assert plan.run is not None
    assert plan.run.status == "FAILED"


def test_the_deadline_of_the_start_names_what_was_refused() -> None:
    refusal = {"reason": QUOTA.reason, "message": QUOTA.message}
    job = training_job({"preRunningDeadlineSeconds": 20}, started(failure=refusal))
    plan = decide(job, replace(NOTHING, refusal=QUOTA), run(), NOW, SERVERS)
    assert wire(plan)["failure"] == {
        "reason": QUOTA.reason,
        "message": "not all pods ran within spec.preRunningDeadlineSeconds (20 s): "
        + QUOTA.message,
    }
