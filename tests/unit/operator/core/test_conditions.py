"""The conditions about the run, and for which generation of the spec they hold."""

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from trainingjob_operator.core import conditions
from trainingjob_operator.core.decide import decide
from trainingjob_operator.core.intent import EventIntent, RunStatus, RunView
from trainingjob_operator.core.observe import Observed
from trainingjob_operator.core.run_status import RUN_STATUS

from tests.support.jobs import (
    RUN,
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
from tests.support.plans import condition

SYNCED = condition("MLflowSynced", "True", "Confirmed", "the run's status is that of the job")


def test_a_condition_that_stays_is_of_the_new_generation() -> None:
    job = training_job(status=started("Starting", conditions=[SYNCED]), generation=2)
    reported = conditions.with_conditions(job.status, job, run(), RunStatus.SCHEDULED, at(60))
    [found] = [one for one in reported.conditions if one.type == "MLflowSynced"]
    assert (found.observed_generation, found.last_transition_time) == (2, at(30))


TOLD: list[Any] = [
    pytest.param(run("SCHEDULED"), ("Unknown", "Updating"), id="not confirmed yet"),
    pytest.param(run("RUNNING"), ("True", "Confirmed"), id="confirmed"),
    pytest.param(run("SCHEDULED", problem="away"), ("False", "MLflowUnavailable"), id="away"),
    pytest.param(run("RUNNING", problem="tags"), ("False", "MLflowUnavailable"), id="tags refused"),
    pytest.param(RunView(), ("Unknown", "Updating"), id="a new leader: what is stored counts"),
]


@pytest.mark.parametrize(("view", "reported"), TOLD)
def test_a_new_state_is_stored_as_synced_only_if_the_run_says_so(
    view: RunView, reported: tuple[str, str]
) -> None:
    job = training_job(status=started("Starting", conditions=[SYNCED]))
    plan = decide(job, Observed(child(), (running_pod(),)), view, at(30), SERVERS)
    assert plan.status is not None
    assert plan.status.state == "Running"
    synced = conditions.found(plan.status, "MLflowSynced")
    assert synced is not None
    assert (synced.status, synced.reason) == reported
    # Not yet confirmed is the ordinary course: no event.
    assert [event.reason for event in plan.events] == [reported[1]] * (reported[0] == "False")


def test_a_new_leader_changes_nothing_about_what_was_confirmed() -> None:
    stored = started("Starting", conditions=[SYNCED])
    reported = conditions.with_conditions(
        training_job(status=stored).status,
        training_job(status=stored),
        RunView(),
        RunStatus.SCHEDULED,
        at(60),
    )
    assert conditions.found(reported, "MLflowSynced") == conditions.found(
        training_job(status=stored).status, "MLflowSynced"
    )


def test_a_foreign_run_with_the_uid_is_reported_once() -> None:
    job = training_job(status=started("Starting", conditions=[SYNCED]))
    view = run("SCHEDULED", foreign="not of this job: abc")
    plan = decide(job, Observed(child(), (pod(),)), view, at(30), SERVERS)
    assert plan.status is not None
    found = conditions.found(plan.status, "RunConflict")
    assert found is not None
    assert (found.status, found.reason, found.message) == (
        "True",
        "ForeignRun",
        "not of this job: abc",
    )
    assert plan.events == (EventIntent("Warning", "ForeignRun", "not of this job: abc"),)
    again = training_job(status=plan.status.model_dump(mode="json", by_alias=True))
    later = decide(again, Observed(child(), (pod(),)), view, at(31), SERVERS)
    assert (later.status, later.events) == (None, ())


def test_nodes_that_train_without_each_other_are_reported_once() -> None:
    job = training_job({"numNodes": 2}, started("Starting", conditions=[SYNCED]))
    view = run("SCHEDULED", unjoined="the 2 nodes do not train together")
    plan = decide(job, Observed(child(), (pod(0), pod(1))), view, at(30), SERVERS)
    assert plan.status is not None
    found = conditions.found(plan.status, "NodesJoined")
    assert found is not None
    assert (found.status, found.reason, found.message) == (
        "False",
        "NodesNotJoined",
        "the 2 nodes do not train together",
    )
    reported = EventIntent("Warning", "NodesNotJoined", "the 2 nodes do not train together")
    assert plan.events == (reported,)
    again = training_job({"numNodes": 2}, plan.status.model_dump(mode="json", by_alias=True))
    later = decide(again, Observed(child(), (pod(0), pod(1))), view, at(31), SERVERS)
    assert (later.status, later.events) == (None, ())


STATUSES = st.none() | st.sampled_from(list(RunStatus))
VIEWS = st.builds(
    RunView,
    identity=st.none() | st.just(RUN),
    status=STATUSES,
    problem=st.none() | st.just("away"),
    missing=st.booleans(),
    deleted=st.booleans(),
)
PODS = st.lists(
    st.sampled_from([pod(), running_pod(), ended_pod(), failed_pod(), failed_pod(code=137)]),
    max_size=2,
)
JOBS = st.none() | st.builds(
    lambda **more: replace(child(), **more),
    complete=st.booleans(),
    failed=st.booleans(),
    failing=st.booleans(),
    suspended=st.booleans(),
)
STATES = ("Starting", "Running", "Queued", "Suspended", "Restarting", "Succeeded", "Failed")


@given(
    view=VIEWS,
    pods=PODS,
    job=JOBS,
    state=st.sampled_from(STATES),
    stored=STATUSES,
    synced=st.booleans(),
    suspend=st.booleans(),
    second=st.integers(0, 3000),
)
def test_synced_is_never_true_while_the_runs_status_is_another(
    view: RunView,
    pods: list[Any],
    job: Any,
    state: str,
    stored: RunStatus | None,
    synced: bool,
    suspend: bool,
    second: int,
) -> None:
    status = started(state, conditions=[SYNCED] if synced else [])
    status["mlflow"]["status"] = stored
    spec = {"suspend": suspend, "backoffLimit": 1, "activeDeadlineSeconds": 2000}
    wanted = decide(
        training_job(spec, status), Observed(job, tuple(pods)), view, at(second), SERVERS
    ).status
    if wanted is None:
        return
    reported = conditions.found(wanted, "MLflowSynced")
    known = view.status or stored
    if reported is not None and reported.status == "True":
        assert wanted.state is not None
        assert RUN_STATUS[wanted.state] == known
