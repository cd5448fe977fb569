"""decide(): a running job whose training makes no new step."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from trainingjob_operator.core.intent import (
    Action,
    ActionKind,
    EventIntent,
    Plan,
    RunView,
    StepView,
    StepWatch,
)
from trainingjob_operator.core.observe import Observed

from tests.support.jobs import SERVERS, at, child, run, running_pod
from tests.support.jobs import training_job as job
from tests.support.plans import NOTHING, RUNNING, condition, decide, intent, wire

RUNS = Observed(child(), (running_pod(),))
MESSAGE = "training made no step within spec.stallPolicy (100 s)"
EVENT = {"stallPolicy": {"timeoutSeconds": 100, "action": "Event"}}
FAIL = {"stallPolicy": {"timeoutSeconds": 100, "action": "Fail"}}
RESTART = {"stallPolicy": {"timeoutSeconds": 100, "action": "Restart"}, "backoffLimit": 1}
WATCH = StepWatch(since=at(5), seconds=100)


def view(last: int | None, checked: int | None, answering: int = 0, **more: Any) -> RunView:
    """What MLflow answers: the last step, when it was asked, since when it answers."""
    steps = StepView(
        answering_since=at(answering),
        last=None if last is None else at(last),
        checked=None if checked is None else at(checked),
        measured=more.pop("measured", False),
    )
    return run("RUNNING", steps=steps, **more)


def reported(spec: dict[str, Any], synced: str = "2026-01-01T00:00:06Z") -> dict[str, Any]:
    """The status of a running job, with MLflow answering since a moment."""
    status = wire(decide(job(spec, RUNNING), RUNS, view(6, None), at(6), SERVERS))
    for one in status["conditions"]:
        if one["type"] == "MLflowSynced":
            one["lastTransitionTime"] = synced
    return status


SEEN: list[Any] = [
    pytest.param(view(50, 160), 160, True, id="no-step-since"),
    pytest.param(view(50, 149), 150, False, id="mlflow-was-asked-before-the-time-was-over"),
    pytest.param(view(50, None), 160, False, id="mlflow-was-not-asked-yet"),
    pytest.param(view(61, 160), 160, False, id="a-step-in-time"),
    pytest.param(view(None, 160, measured=True), 160, True, id="hung-before-its-first-step"),
    pytest.param(view(None, 160), 160, False, id="a-script-without-metrics"),
    pytest.param(
        view(50, 160, problem="cannot reach it"), 160, False, id="mlflow-down-is-no-stall"
    ),
    pytest.param(
        view(50, 160, answering=110), 160, False, id="the-operator-has-just-been-restarted"
    ),
    pytest.param(view(50, 171, answering=110), 171, True, id="a-minute-after-that"),
    pytest.param(run("RUNNING"), 160, False, id="nothing-is-known-yet"),
    pytest.param(view(400, 160), 160, False, id="the-clock-of-the-node-is-ahead"),
]


@pytest.mark.parametrize(("seen", "second", "stalled"), SEEN)
def test_what_is_a_stall(seen: RunView, second: int, stalled: bool) -> None:
    plan = decide(job(FAIL, reported(FAIL)), RUNS, seen, at(second), SERVERS)
    assert [event for event in plan.events if event.reason == "Stopping"] == (
        [EventIntent("Normal", "Stopping", f"attempt 1: {MESSAGE}")] if stalled else []
    )


def test_the_time_begins_anew_when_mlflow_answers_again() -> None:
    synced = reported(FAIL, synced="2026-01-01T00:02:00Z")
    early = decide(job(FAIL, synced), RUNS, view(50, 219), at(219), SERVERS)
    assert (early.status, early.requeue_after) == (None, 1.0)
    late = decide(job(FAIL, synced), RUNS, view(50, 220), at(220), SERVERS)
    assert late.events == (EventIntent("Normal", "Stopping", f"attempt 1: {MESSAGE}"),)


def test_a_watched_job_is_looked_at_again_in_time_and_without_writes() -> None:
    waits = decide(job(EVENT, reported(EVENT)), RUNS, view(50, None), at(60), SERVERS)
    assert waits == Plan(run=intent("RUNNING", watch=WATCH), requeue_after=90.0)
    unknown = decide(job(EVENT, reported(EVENT)), RUNS, view(50, None), at(160), SERVERS)
    assert unknown == Plan(run=intent("RUNNING", watch=WATCH), requeue_after=5.0)


def test_the_action_event_reports_once_and_takes_it_back() -> None:
    plan = decide(job(EVENT, reported(EVENT)), RUNS, view(50, 160), at(160), SERVERS)
    assert plan.events == (EventIntent("Warning", "Stalled", MESSAGE),)
    status = wire(plan)
    assert (status["state"], status["conditions"][-1]) == (
        "Running",
        condition("Stalled", "True", "Stalled", MESSAGE, "2026-01-01T00:02:40Z"),
    )
    for seen in (view(50, 300), run("RUNNING"), view(50, None, answering=295)):
        assert decide(job(EVENT, status), RUNS, seen, at(300), SERVERS).status is None
    again = decide(job(EVENT, status), RUNS, view(290, 300), at(300), SERVERS)
    assert again.events == ()
    assert wire(again)["conditions"][-1] == condition(
        "Stalled", "False", "Stepping", "training makes steps", "2026-01-01T00:05:00Z"
    )


@pytest.mark.parametrize("spec", [EVENT, FAIL, RESTART])
def test_a_job_without_any_metric_is_reported_and_left_alone(spec: dict[str, Any]) -> None:
    plan = decide(job(spec, reported(spec)), RUNS, view(None, 160), at(160), SERVERS)
    assert [event.reason for event in plan.events] == ["NoProgressMetrics"]
    status = wire(plan)
    assert status["state"] == "Running"
    assert (status["conditions"][-1]["type"], status["conditions"][-1]["status"]) == (
        "Stalled",
        "Unknown",
    )
    assert decide(job(spec, status), RUNS, view(None, 200), at(200), SERVERS).status is None


def ends(spec: dict[str, Any], **status: Any) -> tuple[Plan, Plan]:
    """What is stored first, and what when the last pod has ended."""
    begin = decide(job(spec, {**reported(spec), **status}), RUNS, view(50, 160), at(160), SERVERS)
    stopping = job(spec, wire(begin))
    stop = decide(stopping, RUNS, view(50, 160), at(161), SERVERS)
    assert stop.actions == (Action(ActionKind.END_POD, name="mnist-1-0-x"),)
    # The operator may have been restarted meanwhile.
    return begin, decide(stopping, NOTHING, run("RUNNING"), at(170), SERVERS)


def test_the_action_fail_stops_the_pods_and_ends_the_job() -> None:
    begin, end = ends(FAIL)
    assert (begin.actions, begin.run) == ((), intent("RUNNING", watch=WATCH))
    assert end.run == intent("FAILED", ended_at=at(170))
    status = wire(end)
    assert status["failure"] == {"reason": "Stalled", "message": MESSAGE}
    assert (status["attempts"][0]["outcome"], status["attempts"][0]["reason"]) == (
        "Failed",
        "Stalled",
    )


def test_the_action_restart_makes_another_attempt_that_is_charged() -> None:
    begin, end = ends(RESTART)
    assert begin.run == intent("RUNNING", watch=WATCH)
    assert end.run == intent("SCHEDULED")
    status = wire(end)
    assert (status["state"], status["failedAttempts"]) == ("Restarting", 1)
    assert status["nextAttemptTime"] == "2026-01-01T00:03:00Z"

    _, last = ends(RESTART, failedAttempts=1)
    assert last.run == intent("FAILED", ended_at=at(170))
    assert wire(last)["failure"]["reason"] == "BackoffLimitExceeded"


def test_the_steps_of_an_attempt_before_do_not_count() -> None:
    later = {**reported(FAIL), "runningTime": "2026-01-01T00:02:00Z"}
    plan = decide(job(FAIL, later), RUNS, view(50, 160), at(160), SERVERS)
    assert (plan.status, plan.requeue_after) == (None, 60.0)
    assert plan.run is not None
    assert plan.run.watch == replace(WATCH, since=at(5) + timedelta(seconds=115))
