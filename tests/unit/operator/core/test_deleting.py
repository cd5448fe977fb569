"""What a deletion waits for, as its event says it."""

from dataclasses import replace
from typing import Any

import pytest
from trainingjob_operator.core.intent import EventIntent, RunView
from trainingjob_operator.core.observe import Observed
from trainingjob_operator.core.policies.deleting import waits_for

from tests.support.jobs import at, ended_pod, run, running_pod, training_job
from tests.support.plans import NOTHING, RUNNING

DELETED = {"deletionTimestamp": "2026-01-01T00:00:25Z"}
AWAY = replace(run("RUNNING"), problem="cannot reach it")
MLFLOW = EventIntent(
    "Warning",
    "DeletionWaitsForMLflow",
    "the deletion waits two minutes at most for MLflow, which does not accept the run's end: "
    "cannot reach it",
)
LIVES = Observed(None, (running_pod(0, deleting=True), ended_pod(1)))
MANY = Observed(None, tuple(running_pod(rank, deleting=True) for rank in range(7)))


def pods(named: str) -> EventIntent:
    message = (
        f"the deletion waits for pods that do not end: {named}; where a node is gone for good, "
        "delete its Node object, or the pods with --force"
    )
    return EventIntent("Warning", "DeletionWaitsForPods", message)


FIVE = ", ".join(f"mnist-1-{rank}-x on node node-{rank}" for rank in range(5))


@pytest.mark.parametrize(
    ("metadata", "observed", "view", "second", "expected"),
    [
        pytest.param({}, NOTHING, AWAY, 30, None, id="not deleted"),
        pytest.param(DELETED, NOTHING, run("RUNNING"), 30, None, id="MLflow is about to get it"),
        pytest.param(DELETED, NOTHING, AWAY, 30, MLFLOW, id="MLflow is away"),
        pytest.param(DELETED, LIVES, AWAY, 114, None, id="in the grace period and 30 s"),
        pytest.param(
            DELETED, LIVES, AWAY, 115, pods("mnist-1-0-x on node node-0"), id="a pod does not end"
        ),
        pytest.param(DELETED, MANY, AWAY, 115, pods(f"{FIVE} and 2 more"), id="many pods"),
    ],
)
def test_what_a_deletion_waits_for(
    metadata: dict[str, Any],
    observed: Observed,
    view: RunView,
    second: int,
    expected: EventIntent | None,
) -> None:
    job = training_job(status=RUNNING, **metadata)
    assert waits_for(job, observed, view, at(second)) == expected
