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

from tests.support.jobs import (
    RUN,
    SERVERS,
    TRACKING,
    at,
    goodput,
    run,
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


def test_the_finalizer_comes_before_anything_else() -> None:
    assert decide(training_job(finalizers=[]), NOTHING, RunView(), NOW, SERVERS) == Plan(
        actions=(Action(ActionKind.ADD_FINALIZER),)
    )


def test_a_new_job_asks_for_its_run_first() -> None:
    assert decide(training_job(), NOTHING, RunView(), at(1), SERVERS) == Plan(
        run=intent("SCHEDULED", identity=None), requeue_after=2.0
    )


def test_a_run_that_takes_long_leaves_the_job_pending() -> None:
    plan = decide(training_job(), NOTHING, RunView(), at(2), SERVERS)
    assert wire(plan) == {
        "state": "Pending",
        "conditions": [
            condition(
                "Running",
                "False",
                "WaitingForRun",
                "waiting for MLflow to make the run",
                "2026-01-01T00:00:02Z",
            )
        ],
        "observedGeneration": 1,
        "goodput": goodput(queued=2),
        "attempt": 0,
        "attempts": [],
    }
    pending = training_job(status=wire(plan))
    assert decide(pending, NOTHING, RunView(), NOW, SERVERS).status is None
    assert wire(decide(pending, NOTHING, run(), NOW, SERVERS))["state"] == "Starting"


def test_with_a_run_the_attempt_is_recorded_before_its_job_is_created() -> None:
    plan = decide(training_job(), NOTHING, run(), NOW, SERVERS)
    assert (plan.actions, plan.run) == ((), intent("SCHEDULED"))
    assert plan.events == ()
    assert wire(plan) == {
        "state": "Starting",
        "conditions": [
            condition("Running", "False", "PodsStarting", "pods are starting"),
            SYNCED,
        ],
        "observedGeneration": 1,
        "attempt": 1,
        "attempts": [{"attempt": 1, "job": "mnist-1", "startTime": "2026-01-01T00:00:30Z"}],
        "startTime": "2026-01-01T00:00:30Z",
        "goodput": goodput(queued=30),
        "mlflow": {
            "trackingUri": "http://mlflow:5000",
            "experimentId": "7",
            "runId": "f00d",
            "status": "SCHEDULED",
            "url": "https://mlflow.example.com/#/experiments/7/runs/f00d",
        },
    }


def test_an_mlflow_that_is_down_does_not_hold_the_start_up() -> None:
    plan = decide(training_job(), NOTHING, RunView(problem="cannot reach it"), NOW, SERVERS)
    assert wire(plan)["attempt"] == 1
    assert plan.events[0] == EventIntent("Warning", "MLflowUnavailable", "cannot reach it")
    assert wire(plan)["conditions"][1] == condition(
        "MLflowSynced", "False", "MLflowUnavailable", "cannot reach it"
    )


def test_a_recorded_attempt_is_created() -> None:
    job = training_job(status=started())
    assert decide(job, NOTHING, run(), NOW, SERVERS) == Plan(
        actions=(
            Action(
                ActionKind.CREATE_JOB,
                manifest=manifests.child_job(job, 1, RUN, TRACKING),
            ),
        ),
        run=intent("SCHEDULED"),
    )


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
