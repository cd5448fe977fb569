"""What plans look like, for the tests of decide()."""

from dataclasses import replace
from datetime import datetime
from typing import Any

from trainingjob_operator.api import TrainingJob
from trainingjob_operator.core import decide as decision
from trainingjob_operator.core.contract import (
    TAG_COMMAND,
    TAG_FAILURE,
    TAG_GOODPUT,
    TAG_IMAGE,
    TAG_OUTCOME,
)
from trainingjob_operator.core.intent import Action, ActionKind, Plan, RunIntent, RunStatus, RunView
from trainingjob_operator.core.observe import Observed
from trainingjob_operator.core.tracking_uris import TrackingUris

from tests.support.jobs import RUN, at, child, goodput, started

NOW = at(30)
NOTHING = Observed(None, ())
# The Job of an attempt that is over, and what lets it go.
HELD = Observed(None, (), (child(held=True, complete=True, ended_at=at(20)),))
RELEASE = (Action(ActionKind.RELEASE_JOB, name="mnist-1", uid="j-1"),)
RUNNING = started("Running", runningTime="2026-01-01T00:00:05Z", goodput=goodput(starting=5))
RUNNING["attempts"][0]["runningTime"] = "2026-01-01T00:00:05Z"
ENDED = started(
    "Succeeded",
    completionTime="2026-01-01T00:00:20Z",
    goodput=goodput(starting=5, productive=15),
)


def decide(
    job: TrainingJob, observed: Observed, run: RunView, now: datetime, servers: TrackingUris
) -> Plan:
    """decide() without the tags of the run's page, and those that tell what became of attempts.

    test_run_page.py and test_run_tags.py have them.
    """
    plan = decision.decide(job, observed, run, now, servers)
    if plan.run is None:
        return plan
    reported = (TAG_OUTCOME, TAG_FAILURE, TAG_GOODPUT, TAG_IMAGE, TAG_COMMAND, "mlflow.")
    tags = tuple(tag for tag in plan.run.tags if not tag[0].startswith(reported))
    return replace(plan, run=replace(plan.run, tags=tags))


def intent(status: str, **more: Any) -> RunIntent:
    """The wanted run."""
    values: dict[str, Any] = {
        "uid": "u-1",
        "tracking_uri": "http://mlflow:5000",
        "experiment": "ml",
        "name": "mnist",
        "created_at": at(0),
        "status": RunStatus(status),
        "ended_at": None,
        "identity": RUN,
        "tags": (
            ("trainingjob.uid", "u-1"),
            ("trainingjob.name", "mnist"),
            ("trainingjob.namespace", "ml"),
            ("trainingjob.attempt", "1"),
        ),
    }
    return RunIntent(**{**values, **more})


def wire(plan: Plan) -> dict[str, Any]:
    """The status of a plan as the API server gets it."""
    assert plan.status is not None
    return plan.status.model_dump(mode="json", by_alias=True, exclude_none=True)


def condition(
    kind: str, status: str, reason: str, message: str, since: str = "2026-01-01T00:00:30Z"
) -> dict[str, Any]:
    """A condition as the API server gets it."""
    return {
        "type": kind,
        "status": status,
        "reason": reason,
        "message": message,
        "observedGeneration": 1,
        "lastTransitionTime": since,
    }
