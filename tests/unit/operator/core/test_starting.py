"""decide(): why an attempt does not run yet, as pods, the scheduler and Events tell it."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from trainingjob_operator.core.decode import event_view
from trainingjob_operator.core.intent import EventIntent, Plan
from trainingjob_operator.core.observe import EventView, JobView, Observed, PodView, Waiting
from trainingjob_operator.core.policies import starting

from tests.support.jobs import SERVERS, at, child, pod, run, running_pod, started, training_job
from tests.support.plans import decide, wire

UNSCHEDULABLE = Waiting("Unschedulable", "0/3 nodes are available: 3 Insufficient nvidia.com/gpu.")
CREATING = Waiting("ContainerCreating", "")
ROOT = "container has runAsNonRoot and image will run as root (pod: mnist-1-0-x)"
ABSENT = 'MountVolume.SetUp failed for volume "data": configmap "absent" not found'
QUOTA = 'Error creating: pods "mnist-1-0-" is forbidden: exceeded quota: compute'


def about_pod(reason: str = "FailedMount", rank: int = 0, seen: int = 4) -> EventView:
    return EventView("Pod", f"mnist-1-{rank}-x", "p-1", reason, ABSENT, at(seen))


def about_job(uid: str = "j-1", seen: int = 1) -> EventView:
    return EventView("Job", "mnist-1", uid, "FailedCreate", QUOTA, at(seen))


def reported(reason: str, message: str, rank: int | None = None, **more: Any) -> dict[str, Any]:
    where = {} if rank is None else {"rank": rank, "node": f"node-{rank}"}
    return {"reason": reason, "message": message, **where, **more}


POD = "pod mnist-1-0-x"
MISSING = "Job mnist-1 has 0 of 1 pods: `kubectl describe job mnist-1` may say why"
CAUSES: list[Any] = [
    pytest.param(4, [pod(waiting=UNSCHEDULABLE)], [], None, id="a-node-may-be-found-in-time"),
    pytest.param(
        5,
        [pod(waiting=UNSCHEDULABLE)],
        [],
        reported("Unschedulable", f"{POD}: {UNSCHEDULABLE.message}", 0),
        id="no-node",
    ),
    pytest.param(
        5,
        [pod(waiting=Waiting("SchedulingGated", ""))],
        [],
        reported("SchedulingGated", f"{POD} waits", 0),
        id="a-gate-without-a-message",
    ),
    pytest.param(
        1,
        [pod(waiting=Waiting("CreateContainerConfigError", 'secret "absent" not found'))],
        [],
        reported("CreateContainerConfigError", f'{POD}: secret "absent" not found', 0),
        id="the-kubelet-reports-at-once",
    ),
    pytest.param(
        1,
        [pod(waiting=Waiting("CreateContainerConfigError", ROOT))],
        [],
        reported(
            "CreateContainerConfigError",
            f"{POD}: {ROOT}: set spec.securityContext.runAsUser to the number of a user other "
            "than 0, or give the image such a USER",
            0,
        ),
        id="an-image-of-root",
    ),
    pytest.param(
        5,
        [pod(waiting=CREATING)],
        [about_pod()],
        reported("FailedMount", f"{POD}: {ABSENT}", 0),
        id="a-volume-that-is-not-mounted",
    ),
    pytest.param(
        5,
        [pod()],
        [about_pod("FailedAttachVolume")],
        reported("FailedAttachVolume", f"{POD}: {ABSENT}", 0),
        id="a-volume-that-is-not-attached",
    ),
    pytest.param(
        5,
        [pod(waiting=CREATING)],
        [about_pod("FailedCreatePodSandBox")],
        reported("FailedCreatePodSandBox", f"{POD}: {ABSENT}", 0),
        id="a-sandbox-that-is-not-made",
    ),
    pytest.param(
        5,
        [pod(waiting=CREATING, ready_to_start=True)],
        [about_pod()],
        None,
        id="mounted-by-now-and-pulling",
    ),
    pytest.param(5, [pod(waiting=CREATING)], [], None, id="just-slow"),
    pytest.param(
        905, [pod(waiting=CREATING)], [about_pod()], None, id="nothing-of-it-for-a-quarter-hour"
    ),
    pytest.param(
        5, [], [about_job()], reported("FailedCreate", f"Job mnist-1: {QUOTA}"), id="a-quota"
    ),
    pytest.param(5, [], [about_job(uid="j-0")], None, id="an-earlier-job-of-the-name"),
    pytest.param(29, [], [], None, id="pods-may-still-come"),
    pytest.param(30, [], [], reported("PodsMissing", MISSING), id="no-pod-and-no-event"),
    pytest.param(
        30,
        [],
        [about_job()],
        reported("FailedCreate", f"Job mnist-1: {QUOTA}"),
        id="no-pod-for-long",
    ),
]


def starts(
    pods: Sequence[PodView],
    events: Sequence[EventView] | None,
    second: int,
    failure: dict[str, Any] | None = None,
    nodes: int = 1,
) -> Plan:
    status = started() if failure is None else started(failure=failure)
    observed = Observed(child(), tuple(pods), events=None if events is None else tuple(events))
    return decide(training_job({"numNodes": nodes}, status), observed, run(), at(second), SERVERS)


@pytest.mark.parametrize(("second", "pods", "events", "failure"), CAUSES)
def test_why_an_attempt_does_not_run(
    second: int,
    pods: list[PodView],
    events: list[EventView],
    failure: dict[str, Any] | None,
) -> None:
    plan = starts(pods, events, second)
    status = wire(plan)
    assert status.get("failure") == failure
    running = next(one for one in status["conditions"] if one["type"] == "Running")
    if failure is None:
        assert (running["reason"], plan.events) == ("PodsStarting", ())
    else:
        reason, message = failure["reason"], failure["message"]
        assert (running["reason"], running["message"]) == (reason, message)
        assert plan.events == (EventIntent("Warning", reason, message),)


def test_a_cause_is_reported_once_whatever_its_wording() -> None:
    stored = wire(starts([pod(waiting=UNSCHEDULABLE)], [], 5))["failure"]
    reworded = pod(waiting=Waiting("Unschedulable", "0/4 nodes are available."))
    plan = starts([reworded], [], 65, stored)
    assert (wire(plan)["failure"], plan.events) == (stored, ())


def test_ranks_with_different_problems_do_not_take_turns() -> None:
    pods = [pod(0, waiting=UNSCHEDULABLE), pod(1, waiting=Waiting("ImagePullBackOff", "no"))]
    first = wire(starts(pods[1:], [], 1, nodes=2))["failure"]
    assert first["reason"] == "ImagePullBackOff"
    assert wire(starts(pods, [], 5, first, nodes=2))["failure"] == first
    assert wire(starts(pods, [], 5, nodes=2))["failure"]["reason"] == "Unschedulable"


MOUNT = reported("FailedMount", f"{POD}: {ABSENT}", 0)
LATER: list[Any] = [
    pytest.param([pod(waiting=CREATING)], None, MOUNT, id="kept-while-no-events-are-read"),
    pytest.param([pod(waiting=CREATING)], [about_pod()], MOUNT, id="kept-while-it-holds"),
    pytest.param([pod(waiting=CREATING)], [], None, id="gone-with-its-event"),
    pytest.param([pod(waiting=CREATING, ready_to_start=True)], None, None, id="gone-when-mounted"),
    pytest.param([running_pod()], None, None, id="gone-when-it-runs"),
]


@pytest.mark.parametrize(("pods", "events", "failure"), LATER)
def test_a_cause_is_reported_for_as_long_as_it_holds(
    pods: list[PodView], events: list[EventView] | None, failure: dict[str, Any] | None
) -> None:
    assert wire(starts(pods, events, 60, MOUNT)).get("failure") == failure


LOOKS: list[Any] = [
    pytest.param([pod()], 0, 5.0, id="events-are-not-read-at-first"),
    pytest.param([pod(waiting=UNSCHEDULABLE)], 2, 3.0, id="nor-is-the-scheduler-named"),
    pytest.param([pod()], 5, 5.0, id="then-soon"),
    pytest.param([pod()], 40, 20.0, id="then-ever-less-often"),
    pytest.param([pod()], 4000, 60.0, id="once-a-minute-in-the-end"),
    pytest.param([], 25, 5.0, id="when-pods-are-missed"),
    pytest.param([pod(ready_to_start=True)], 5, None, id="never-for-one-that-pulls-its-image"),
    pytest.param([pod(waiting=UNSCHEDULABLE)], 5, None, id="nor-for-one-that-reports-itself"),
]


@pytest.mark.parametrize(("pods", "second", "again"), LOOKS)
def test_when_it_is_looked_at_again(pods: list[PodView], second: int, again: float | None) -> None:
    assert starts(pods, [], second).requeue_after == again


NEEDS: list[Any] = [
    pytest.param("Starting", child(), [pod()], 5, True, id="starting"),
    pytest.param("Starting", child(), [pod()], 4, False, id="not-at-first"),
    pytest.param("Starting", child(), [pod(ready_to_start=True)], 5, False, id="pulling"),
    pytest.param("Starting", child(), [running_pod()], 5, False, id="running"),
    pytest.param("Starting", child(), [], 5, True, id="no-pod"),
    pytest.param("Starting", child(suspended=True), [], 5, False, id="suspended"),
    pytest.param("Starting", child(failed=True), [], 5, False, id="ended"),
    pytest.param("Starting", child(owner_uid="u-0"), [], 5, False, id="not-ours"),
    pytest.param("Starting", None, [], 5, False, id="no-job"),
    pytest.param("Running", child(), [pod()], 5, False, id="runs-on"),
]


@pytest.mark.parametrize(("state", "job", "pods", "second", "needed"), NEEDS)
def test_whose_events_are_read(
    state: str, job: JobView | None, pods: list[PodView], second: int, needed: bool
) -> None:
    observed = Observed(job, tuple(pods))
    assert starting.needs_events(training_job({}, started(state)), observed, at(second)) == needed


RAW = {
    "metadata": {"creationTimestamp": "2026-01-01T00:00:01Z"},
    "regarding": {"kind": "Pod", "name": "mnist-1-0-x", "uid": "p-1"},
    "type": "Warning",
    "reason": "FailedMount",
    "note": ABSENT,
}
SERIES = {"count": 3, "lastObservedTime": "2026-01-01T00:00:07.123456Z"}
EVENTS: list[Any] = [
    pytest.param({}, about_pod(seen=1), id="created"),
    pytest.param({"eventTime": "2026-01-01T00:00:02.000000Z"}, about_pod(seen=2), id="event-time"),
    pytest.param(
        {"deprecatedLastTimestamp": "2026-01-01T00:00:04Z"}, about_pod(seen=4), id="count"
    ),
    pytest.param(
        {"series": SERIES, "eventTime": None},
        replace(about_pod(), last_seen=at(7) + timedelta(microseconds=123456)),
        id="series",
    ),
    pytest.param(
        {"regarding": None, "note": None, "metadata": {}},
        EventView("", "", "", "FailedMount", "", None),
        id="of-nothing",
    ),
]


@pytest.mark.parametrize(("more", "view"), EVENTS)
def test_an_event_of_whichever_component(more: dict[str, Any], view: EventView) -> None:
    assert event_view({**RAW, **more}) == view


def test_only_warnings_that_keep_a_pod_from_starting_count() -> None:
    assert starting.blocks(about_pod())
    assert starting.blocks(about_job())
    assert not starting.blocks(about_pod("Unhealthy"))
    assert not starting.blocks(replace(about_job(), kind="CronJob"))
