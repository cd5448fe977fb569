"""Which experiment and workspace a job uses, which it may not, and what its status says then."""

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from trainingjob_operator.api import Failure, TrainingJob
from trainingjob_operator.core.decide import decide
from trainingjob_operator.core.intent import EventIntent, RunView
from trainingjob_operator.core.policies import tenancy
from trainingjob_operator.core.tracking_uris import PodToken, Tracking

from tests.support.jobs import SERVERS, run, started, training_job
from tests.support.plans import NOTHING, NOW, condition, wire

DEFAULT = "http://mlflow:5000"
PAGES = "https://mlflow.example.com"


def of_mlflow(**mlflow: str) -> TrainingJob:
    """A job of the namespace ml."""
    return training_job({"mlflow": mlflow})


# Pattern, asked, used: None where it is refused.
EXPERIMENTS: list[tuple[str, str | None, str | None]] = [
    ("", None, "ml"),
    ("", "vision/x", "vision/x"),
    ("{namespace}", None, "ml"),
    ("{namespace}", "ml", "ml"),
    ("{namespace}", "ml2", None),
    ("{namespace}/*", None, "ml/default"),
    ("{namespace}/*", "ml/", "ml/"),
    ("{namespace}/*", "ml/a/b", "ml/a/b"),
    ("{namespace}/*", "ml", None),
    ("{namespace}/*", "vision/x", None),
    ("{namespace}/*", " ml/x", None),
    ("{namespace}/*", "vision/\nml/x", None),
    ("{namespace}*", None, "ml"),
    ("*-{namespace}-*", None, "default-ml-default"),
    ("*-{namespace}-*", "x-ml-y", "x-ml-y"),
    ("shared.(x)", "sharedX(x)", None),
    ("shared.(x)", None, "shared.(x)"),
]


@pytest.mark.parametrize(("pattern", "asked", "used"), EXPERIMENTS)
def test_experiment(pattern: str, asked: str | None, used: str | None) -> None:
    uris = replace(SERVERS, experiment_pattern=pattern)
    job = of_mlflow() if asked is None else of_mlflow(experiment=asked)
    refused = tenancy.refusal(job, uris)
    assert (None if refused else tenancy.experiment(job, uris)) == used


@given(st.from_regex(r"[a-z*/-]{0,8}(\{namespace\})?[a-z*/-]{0,8}", fullmatch=True))
def test_what_a_job_gets_by_default_it_may_also_ask_for(pattern: str) -> None:
    uris = replace(SERVERS, experiment_pattern=pattern)
    default = tenancy.experiment(of_mlflow(), uris)
    assert tenancy.refusal(of_mlflow(experiment=default), uris) is None


# Mapping, asked, used: None where it is refused.
WORKSPACES: list[tuple[dict[str, str], str | None, str | None]] = [
    ({}, None, ""),
    ({}, "vision", "vision"),
    ({"ml": "learning"}, None, "learning"),
    ({"ml": "learning"}, "learning", "learning"),
    ({"ml": "learning"}, "vision", None),
    ({"*": "{namespace}"}, None, "ml"),
    ({"*": "{namespace}", "ml": "team-{namespace}"}, None, "team-ml"),
    ({"other": "vision"}, None, ""),
    ({"other": "vision"}, "vision", None),
]


@pytest.mark.parametrize(("mapping", "asked", "used"), WORKSPACES)
def test_workspace(mapping: dict[str, str], asked: str | None, used: str | None) -> None:
    uris = replace(SERVERS, workspaces={DEFAULT: mapping})
    job = of_mlflow() if asked is None else of_mlflow(workspace=asked)
    found = tenancy.tracking(job, uris)
    assert (found.workspace if found else None) == used


def test_each_server_has_its_own_workspaces_and_token() -> None:
    token = PodToken("mlflow")
    uris = replace(
        SERVERS, workspaces={DEFAULT: {"ml": "learning"}}, pod_tokens={"http://other": token}
    )
    assert tenancy.tracking(of_mlflow(), uris) == Tracking(DEFAULT, "learning", ui_url=PAGES)
    other = of_mlflow(trackingUri="http://other", workspace="mine")
    assert tenancy.tracking(other, uris) == Tracking("http://other", "mine", token)


def test_a_job_that_has_begun_keeps_its_workspace() -> None:
    """Its run is there, whatever is mapped by now."""
    mlflow = {"trackingUri": DEFAULT, "workspace": "old", "runId": "f00d", "experimentId": "7"}
    begun = training_job(
        {"mlflow": {"experiment": "now-refused"}}, started("Running", mlflow=mlflow)
    )
    uris = replace(SERVERS, workspaces={DEFAULT: {"*": "new"}}, experiment_pattern="{namespace}/*")
    assert tenancy.tracking(begun, uris) == Tracking(DEFAULT, "old", ui_url=PAGES)
    plan = decide(begun, NOTHING, run(), NOW, uris)
    assert plan.run is not None
    assert (plan.run.workspace, plan.run.experiment) == ("old", "now-refused")


REFUSED: list[Any] = [
    pytest.param(
        of_mlflow(experiment="vision/x"),
        Failure(
            reason="ExperimentNotAllowed",
            message="spec.mlflow.experiment 'vision/x' is not allowed in the namespace ml: the "
            "operator's mlflow.experimentPattern {namespace}/* allows ml/*; choose such a name, "
            "or leave the field out to use ml/default",
        ),
        id="experiment",
    ),
    pytest.param(
        of_mlflow(workspace="vision"),
        Failure(
            reason="WorkspaceNotAllowed",
            message="spec.mlflow.workspace vision is not allowed in the namespace ml: the "
            "operator's mlflow.workspaces gives it learning; leave the field out, or have the "
            "workspace mapped to the namespace",
        ),
        id="workspace",
    ),
    pytest.param(
        of_mlflow(trackingUri="http://stranger"),
        Failure(
            reason="TrackingUriNotAllowed",
            message="spec.mlflow.trackingUri http://stranger is not allowed: leave it out to use "
            "the operator's server, or have it added to the operator's mlflow.allowedTrackingUris",
        ),
        id="server",
    ),
]


@pytest.mark.parametrize(("job", "failure"), REFUSED)
def test_a_refused_job_fails_at_once_without_pods_and_without_a_run(
    job: TrainingJob, failure: Failure
) -> None:
    uris = replace(
        SERVERS, experiment_pattern="{namespace}/*", workspaces={DEFAULT: {"ml": "learning"}}
    )
    plan = decide(job, NOTHING, RunView(), NOW, uris)
    assert (plan.actions, plan.run) == ((), None)
    assert plan.events == (EventIntent("Warning", failure.reason or "", failure.message or ""),)
    stored = wire(plan)
    assert stored["state"] == "Failed"
    assert stored["conditions"][-1] == condition(
        "Failed", "True", failure.reason or "", failure.message or ""
    )
    ended = job.model_copy(update={"status": plan.status})
    assert decide(ended, NOTHING, RunView(), NOW, uris).run is None
