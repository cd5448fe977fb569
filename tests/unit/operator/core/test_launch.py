"""decide(): from a new TrainingJob to the objects of its first attempt."""

from dataclasses import replace

from trainingjob_operator.core import manifests
from trainingjob_operator.core.intent import (
    Action,
    ActionKind,
    EventIntent,
    Plan,
    RunView,
)
from trainingjob_operator.core.observe import Observed, Refusal, Waiting

from tests.support.jobs import (
    RUN,
    SERVERS,
    TRACKING,
    at,
    child,
    goodput,
    pod,
    run,
    running_pod,
    started,
    training_job,
)
from tests.support.plans import (
    NOTHING,
    NOW,
    condition,
    decide,
    intent,
    wire,
)

SYNCED = condition("MLflowSynced", "True", "Confirmed", "the run's status is that of the job")


def test_a_new_job_asks_for_its_run_first() -> None:
    assert decide(training_job(), NOTHING, RunView(), at(1), SERVERS) == Plan(
        run=intent("SCHEDULED", identity=None, starting=True), requeue_after=14.0
    )


def test_a_run_that_takes_long_leaves_the_job_pending() -> None:
    plan = decide(training_job(), NOTHING, RunView(), at(15), SERVERS)
    assert wire(plan) == {
        "state": "Pending",
        "conditions": [
            condition(
                "Running",
                "False",
                "WaitingForRun",
                "waiting for MLflow to create the run",
                "2026-01-01T00:00:15Z",
            )
        ],
        "observedGeneration": 1,
        "numNodes": 1,
        "goodput": goodput(queued=15),
        "attempt": 0,
        "attempts": [],
    }
    pending = training_job(status=wire(plan))
    assert decide(pending, NOTHING, RunView(), NOW, SERVERS) == Plan(
        run=intent("SCHEDULED", identity=None), requeue_after=30.0
    )
    [create] = decide(pending, NOTHING, run(), NOW, SERVERS).actions
    assert create.kind == ActionKind.CREATE_JOB


def test_with_a_run_the_job_of_the_attempt_is_created_and_nothing_stored() -> None:
    job = training_job()
    manifest = manifests.child_job(job, 1, RUN, TRACKING)
    assert decide(job, NOTHING, run(), NOW, SERVERS) == Plan(
        actions=(Action(ActionKind.CREATE_JOB, manifest=manifest),), run=intent("SCHEDULED")
    )


def test_the_first_news_of_the_attempt_tell_that_it_began_with_its_job() -> None:
    job, began = training_job(), child(created_at=at(27))
    quick = Observed(began, (running_pod(since=28),))
    reported = wire(decide(job, quick, run("RUNNING"), NOW, SERVERS))
    assert (reported["state"], reported["startTime"]) == ("Running", "2026-01-01T00:00:27Z")
    assert reported["attempts"] == [
        {
            "attempt": 1,
            "job": "mnist-1",
            "startTime": "2026-01-01T00:00:27Z",
            "runningTime": "2026-01-01T00:00:28Z",
        }
    ]
    assert reported["goodput"] == goodput(queued=27, starting=1)
    waits = decide(job, Observed(began, (pod(),)), run(), NOW, SERVERS)
    assert (waits.actions, waits.status, waits.run) == ((), None, intent("SCHEDULED"))
    assert waits.requeue_after == 2.0
    stuck = pod(waiting=Waiting("ImagePullBackOff", "no such image"))
    why = wire(decide(job, Observed(began, (stuck,)), run(), NOW, SERVERS))
    assert why["failure"]["reason"] == "ImagePullBackOff"
    ended = Observed(replace(began, complete=True, ended_at=at(29)), ())
    assert wire(decide(job, ended, run(), NOW, SERVERS))["state"] == "Succeeded"


def test_a_start_that_takes_five_seconds_is_recorded() -> None:
    plan = decide(training_job(), Observed(child(created_at=at(25)), (pod(),)), run(), NOW, SERVERS)
    assert (plan.actions, plan.run, plan.events) == ((), intent("SCHEDULED"), ())
    assert wire(plan) == {
        "state": "Starting",
        "conditions": [
            condition("Running", "False", "PodsStarting", "pods are starting"),
            SYNCED,
        ],
        "observedGeneration": 1,
        "numNodes": 1,
        "attempt": 1,
        "attempts": [{"attempt": 1, "job": "mnist-1", "startTime": "2026-01-01T00:00:25Z"}],
        "startTime": "2026-01-01T00:00:25Z",
        "goodput": goodput(queued=25),
        "mlflow": {
            "trackingUri": "http://mlflow:5000",
            "experimentId": "7",
            "runId": "f00d",
            "status": "SCHEDULED",
            "url": "https://mlflow.example.com/#/experiments/7/runs/f00d",
        },
    }


def test_an_mlflow_that_is_down_does_not_hold_the_start_up() -> None:
    down = RunView(problem="cannot reach it")
    [create] = decide(training_job(), NOTHING, down, NOW, SERVERS).actions
    assert create.kind == ActionKind.CREATE_JOB
    began = Observed(child(created_at=at(25)), (pod(),))
    plan = decide(training_job(), began, down, NOW, SERVERS)
    assert plan.events[0] == EventIntent("Warning", "MLflowUnavailable", "cannot reach it")
    assert wire(plan)["conditions"][1] == condition(
        "MLflowSynced", "False", "MLflowUnavailable", "cannot reach it"
    )


def test_an_attempt_whose_name_is_taken_is_recorded_so_that_the_wait_for_it_has_a_beginning() -> (
    None
):
    leftover = Observed(child(owner_uid="u-0"), ())
    refused = replace(NOTHING, refusal=Refusal("FailedCreate", "exceeded quota", final=False))
    for observed in (leftover, refused):
        plan = decide(training_job(), observed, run(), NOW, SERVERS)
        assert (plan.actions, wire(plan)["state"]) == ((), "Starting")
        assert wire(plan)["attempts"][0]["startTime"] == "2026-01-01T00:00:30Z"


def test_a_job_that_waits_on_purpose_does_not_look_as_if_it_were_about_to_run() -> None:
    for spec in ({"queueName": "gpus"}, {"suspend": True}):
        plan = decide(training_job(spec), NOTHING, RunView(), at(1), SERVERS)
        assert plan.run == intent("SCHEDULED", identity=None)


def test_several_nodes_get_their_service_first() -> None:
    unserved = replace(NOTHING, service=False)
    plan = decide(training_job({"numNodes": 2}, started()), unserved, run(), NOW, SERVERS)
    kinds = [action.kind for action in plan.actions]
    assert kinds == [ActionKind.CREATE_SERVICE, ActionKind.CREATE_JOB]


def test_the_claim_of_the_checkpoints_is_made_until_an_attempt_ran() -> None:
    template = {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}}
    spec = {"checkpoint": {"path": "/checkpoints", "claimTemplate": template}}
    plan = decide(training_job(spec, started()), NOTHING, run(), NOW, SERVERS)
    kinds = [action.kind for action in plan.actions]
    assert kinds == [ActionKind.CREATE_CLAIM, ActionKind.CREATE_JOB]
    last = {"attempt": 2, "job": "mnist-2"}
    for first, expected in (
        ({"attempt": 1, "runningTime": "2026-01-01T00:00:02Z"}, [ActionKind.CREATE_JOB]),
        ({"attempt": 1, "outcome": "Suspended"}, [ActionKind.CREATE_CLAIM, ActionKind.CREATE_JOB]),
    ):
        again = started(attempt=2, attempts=[first, last])
        plan = decide(training_job(spec, again), NOTHING, run(), NOW, SERVERS)
        assert [action.kind for action in plan.actions] == expected
