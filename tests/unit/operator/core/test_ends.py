"""decide(): what became of an attempt, whatever others did to its Job and pods meanwhile."""

import json
from dataclasses import replace
from typing import Any

import pytest
from trainingjob_operator.core.intent import Action, ActionKind, Plan
from trainingjob_operator.core.observe import ContainerEnd, JobView, Observed, PodView, Refusal

from tests.support.jobs import (
    SERVERS,
    at,
    child,
    ended_pod,
    failed_pod,
    pod,
    run,
    running_pod,
    started,
    training_job,
)
from tests.support.plans import ENDED, NOTHING, NOW, RUNNING, decide, intent, wire

TWO = {"numNodes": 2}
REPORT = {"reason": "UserException", "message": "bad", "exception": "E", "frame": "", "rank": 0}
DELETED: dict[str, Any] = {"deleting": True, "deleted_at": at(15)}
COMPLETE = child(complete=True, ended_at=at(20))


def said(pod: PodView, message: str) -> PodView:
    """A pod whose trainer left a termination message and ended with 0."""
    return replace(pod, phase="Succeeded", end=ContainerEnd(0, "Completed", message, at(20)))


def beside(pod: PodView, phase: str, reason: str = "") -> PodView:
    """A pod whose trainer has ended, and whose phase another container decides."""
    return replace(pod, phase=phase, reason=reason)


def stopped(pod: PodView) -> PodView:
    """A pod whose deletion was asked for before its trainer ended."""
    return replace(pod, deleting=True, deleted_at=at(15))


GOOD, BAD = ended_pod(), failed_pod(code=3)
JOB_ENDS: list[Any] = [
    pytest.param(child(held=True, complete=True, **DELETED), [], "Succeeded", id="removed"),
    pytest.param(child(**DELETED), [GOOD], "Succeeded", id="deleted-before-it-was-complete"),
    pytest.param(None, [GOOD], "Succeeded", id="its-pod-is-left"),
    pytest.param(None, [BAD], "Failed", id="its-pod-is-left-and-failed"),
    pytest.param(None, [], "Restarting", id="nothing-is-left"),
    pytest.param(child(failed=True, ended_at=at(10), **DELETED), [], "Failed", id="failed-before"),
    pytest.param(
        child(failed=True, ended_at=at(16), **DELETED), [], "Restarting", id="failed-by-deletion"
    ),
    pytest.param(
        child(failed=True, ended_at=at(20), **DELETED),
        [stopped(failed_pod(code=143))],
        "Restarting",
        id="its-pod-was-stopped-by-deletion",
    ),
    pytest.param(
        child(**DELETED),
        [stopped(GOOD)],
        "Restarting",
        id="a-program-that-ends-with-0-when-stopped",
    ),
    pytest.param(child(**DELETED), [running_pod(job_uid="")], "Running", id="an-orphan-goes-on"),
]


@pytest.mark.parametrize(("job", "pods", "state"), JOB_ENDS)
def test_a_job_that_was_removed(job: JobView | None, pods: list[PodView], state: str) -> None:
    status = wire(
        decide(
            training_job(status=RUNNING),
            Observed(job, tuple(pods)),
            run("RUNNING"),
            NOW,
            SERVERS,
        )
    )
    assert status["state"] == state
    assert "failedAttempts" not in status
    if state == "Restarting":
        assert (status["disruptions"], status["failure"]["reason"]) == (1, "JobDeleted")


def test_the_pods_of_a_job_that_is_deleted_go_with_it_but_not_orphans() -> None:
    background = child(held=True, **DELETED)
    delete = Action(ActionKind.DELETE_JOB, name="mnist-1", uid="j-1")
    owned = Observed(background, (running_pod(),))
    orphaned = Observed(background, (running_pod(job_uid=""),))
    under_way = Observed(replace(background, orphaning=True), (running_pod(),))
    job = training_job(status=RUNNING)
    plans = [decide(job, one, run("RUNNING"), NOW, SERVERS) for one in (owned, orphaned, under_way)]
    assert [plan.actions for plan in plans] == [(delete,), (), ()]


@pytest.mark.parametrize(
    ("job", "sibling"),
    [
        pytest.param(child(held=True, **DELETED), running_pod(1), id="held-by-our-finalizer"),
        pytest.param(None, running_pod(1, job_uid=""), id="an-orphan"),
    ],
)
def test_a_job_has_not_failed_while_a_rank_lives_whose_job_is_gone(
    job: JobView | None, sibling: PodView
) -> None:
    plan = decide(
        training_job(TWO, status=RUNNING),
        Observed(job, (BAD, sibling)),
        run("RUNNING"),
        NOW,
        SERVERS,
    )
    assert plan.actions == (Action(ActionKind.END_POD, name=sibling.name),)
    assert wire(plan)["state"] == "Running"


def test_a_job_is_held_until_its_end_is_recorded() -> None:
    held = replace(COMPLETE, held=True)
    end = decide(training_job(status=RUNNING), Observed(held, ()), run("RUNNING"), NOW, SERVERS)
    assert (end.actions, wire(end)["state"]) == ((), "Succeeded")
    ended = training_job(status=ENDED)
    untold = decide(ended, Observed(None, (), (held,)), run("RUNNING"), NOW, SERVERS)
    assert untold.actions == ()


def test_the_job_of_an_earlier_attempt_goes_when_the_next_one_is_there_or_somebody_deleted_it() -> (
    None
):
    release = Action(ActionKind.RELEASE_JOB, name="mnist-1", uid="j-1")

    attempt = {**RUNNING["attempts"][0], "completionTime": "2026-01-01T00:00:20Z"}
    again = {**RUNNING, "state": "Restarting", "attempts": [{**attempt, "outcome": "Failed"}]}
    restarting = training_job(status={**again, "nextAttemptTime": "2026-01-01T00:00:40Z"})
    failed = child(failed=True, held=True)
    following = child(name="mnist-2", uid="j-2", held=True)
    for seen, actions in (
        (Observed(None, (), (failed,)), ()),
        (Observed(None, (), (replace(failed, deleting=True),)), (release,)),
        (Observed(following, (), (failed,)), (release,)),
    ):
        assert decide(restarting, seen, run(), NOW, SERVERS).actions == actions


CONTAINERS: list[Any] = [
    pytest.param([beside(GOOD, "Failed")], "Succeeded", 0, id="a-sidecar-failed"),
    pytest.param([beside(GOOD, "Running")], "Succeeded", 0, id="a-sidecar-runs-on"),
    pytest.param([beside(GOOD, "Failed", "DeadlineExceeded")], "Succeeded", 0, id="ended-by-us"),
    pytest.param([beside(BAD, "Running")], "Failed", 3, id="failed-and-a-sidecar-runs-on"),
    pytest.param([beside(GOOD, "Failed", "Evicted")], "Failed", 0, id="ended-by-its-node"),
    pytest.param([said(GOOD, json.dumps(REPORT))], "Failed", 0, id="a-pipe-hid-the-exit-code"),
    pytest.param([said(GOOD, '{"reason": "Done"}')], "Succeeded", 0, id="another-message"),
]


@pytest.mark.parametrize(("pods", "state", "code"), CONTAINERS)
@pytest.mark.parametrize("job", [child(failed=True, ended_at=at(21)), COMPLETE])
def test_only_the_trainer_decides(job: JobView, pods: list[PodView], state: str, code: int) -> None:
    observed = Observed(job, tuple(pods))
    status = wire(decide(training_job(status=RUNNING), observed, run("RUNNING"), NOW, SERVERS))
    assert status["state"] == state
    assert status["attempts"][0]["exitCode"] == code


def test_a_sidecar_that_fails_is_no_failure_of_the_rank() -> None:
    job = training_job(TWO, RUNNING)
    counted = child(failed_ranks=frozenset({0}))
    observed = Observed(counted, (beside(GOOD, "Failed"), running_pod(1)))
    plan = decide(job, observed, run("RUNNING"), NOW, SERVERS)
    assert (plan.actions, plan.run) == ((), intent("RUNNING"))
    reported = decide(job, Observed(counted, (running_pod(1),)), run("RUNNING"), NOW, SERVERS)
    assert reported.actions == (Action(ActionKind.END_POD, name="mnist-1-1-x"),)


@pytest.mark.parametrize(("code", "state"), [(1, "Restarting"), (2, "Failed")])
def test_a_reported_failure_is_retried_like_the_exit_code_1(code: int, state: str) -> None:
    job = training_job({"backoffLimit": 1, "retry": {"retryableExitCodes": [code]}}, RUNNING)
    observed = Observed(COMPLETE, (said(GOOD, json.dumps(REPORT)),))
    plan = decide(job, observed, run(), NOW, SERVERS)
    assert wire(plan)["state"] == state


def test_the_other_ranks_of_an_attempt_that_failed_are_ended_and_kept() -> None:
    job = training_job(TWO, RUNNING)
    end = Action(ActionKind.END_POD, name="mnist-1-1-x")
    seen = Observed(child(), (BAD, running_pod(1)))
    plan = decide(job, seen, run("RUNNING"), NOW, SERVERS)
    assert (plan.actions, plan.run) == ((end,), intent("RUNNING"))
    asked = Observed(child(), (BAD, running_pod(1, ending=True)))
    assert decide(job, asked, run("RUNNING"), NOW, SERVERS).actions == ()
    stuck = replace(asked, stuck=frozenset({"mnist-1-1-x"}))
    [first, *_] = decide(job, stuck, run("RUNNING"), NOW, SERVERS).actions
    assert first == Action(ActionKind.DELETE_POD, name="mnist-1-1-x")
    unscheduled = Observed(child(), (BAD, pod(1, node="")))
    [ends] = decide(job, unscheduled, run("RUNNING"), NOW, SERVERS).actions
    assert ends == Action(ActionKind.END_JOB, name="mnist-1")
    over = replace(failed_pod(1, code=137, finished=19, pod_reason="DeadlineExceeded"), ending=True)
    reported = wire(decide(job, Observed(child(), (BAD, over)), run("RUNNING"), NOW, SERVERS))
    assert (reported["state"], reported["failure"]["rank"]) == ("Failed", 0)


def test_pods_beside_a_trainer_that_has_ended_keep_no_gpus() -> None:
    for state in ("Succeeded", "Failed"):
        job = training_job(status={**ENDED, "state": state})
        observed = Observed(None, (beside(GOOD, "Running"),), (child(),))
        plan = decide(job, observed, run(), NOW, SERVERS)
        assert plan.actions == (Action(ActionKind.END_POD, name="mnist-1-0-x"),)


NAMESPACE: list[Any] = [
    pytest.param(child(failed=True, ended_at=at(20)), [stopped(failed_pod(code=143))], id="ended"),
    pytest.param(child(failed=True, ended_at=at(20)), [], id="gone"),
    pytest.param(None, [], id="all-gone"),
]


@pytest.mark.parametrize(("job", "pods"), NAMESPACE)
def test_a_job_whose_namespace_is_deleted_waits_for_its_own_deletion(
    job: JobView | None, pods: list[PodView]
) -> None:
    observed = Observed(job, tuple(pods), terminating=True)
    plan = decide(training_job(status=RUNNING), observed, run("RUNNING"), NOW, SERVERS)
    assert plan == Plan(run=intent("RUNNING"), requeue_after=2.0)


def test_a_service_that_was_deleted_is_created_again() -> None:
    observed = Observed(child(), (running_pod(0), running_pod(1)), service=False)
    job = training_job(TWO, RUNNING)
    reported = training_job(TWO, wire(decide(job, observed, run("RUNNING"), NOW, SERVERS)))
    plan = decide(reported, observed, run("RUNNING"), NOW, SERVERS)
    assert [action.kind for action in plan.actions] == [ActionKind.CREATE_SERVICE]


TAKEN = Refusal("NameConflict", "Service mnist exists", final=False)


@pytest.mark.parametrize(
    ("refusal", "seconds", "reported"),
    [(TAKEN, 1, True), (replace(TAKEN, leftover=True), 4, False), (TAKEN, 5, True)],
)
def test_a_name_that_is_taken_is_reported_and_waited_for(
    refusal: Refusal, seconds: int, reported: bool
) -> None:
    job = training_job(status=started())
    plan = decide(job, replace(NOTHING, refusal=refusal), run(), at(seconds), SERVERS)
    if reported:
        status = wire(plan)
        assert (status["state"], status["failure"]["reason"]) == ("Starting", "NameConflict")
    else:
        assert [action.kind for action in plan.actions] == [ActionKind.CREATE_JOB]
