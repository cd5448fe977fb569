"""decide(): which MLflow server a job has."""

from trainingjob_operator.core.intent import (
    Plan,
    RunView,
)
from trainingjob_operator.core.observe import Observed

from tests.support.jobs import (
    SERVERS,
    child,
    run,
    training_job,
)
from tests.support.plans import (
    NOTHING,
    NOW,
    RUNNING,
    decide,
    wire,
)


def test_a_server_that_is_not_allowed_ends_the_job_before_any_pod() -> None:
    job = training_job({"mlflow": {"trackingUri": "http://elsewhere"}})
    plan = decide(job, NOTHING, RunView(), NOW, SERVERS)
    assert (plan.actions, plan.run) == ((), None)
    assert wire(plan)["state"] == "Failed"
    assert wire(plan)["failure"]["message"].startswith(
        "spec.mlflow.trackingUri http://elsewhere is not allowed: leave it out"
    )
    refused = training_job({"mlflow": {"trackingUri": "http://elsewhere"}}, wire(plan))
    assert decide(refused, NOTHING, RunView(), NOW, SERVERS) == Plan()


def test_a_job_that_has_begun_keeps_its_server_whatever_the_settings_say() -> None:
    removed = {**RUNNING["mlflow"], "trackingUri": "https://removed.example.com"}
    status = {**RUNNING, "mlflow": removed}
    for asked in (None, "https://removed.example.com"):
        job = training_job({"mlflow": {"trackingUri": asked}}, status)
        plan = decide(job, Observed(child(complete=True), ()), run("RUNNING"), NOW, SERVERS)
        assert (wire(plan)["state"], wire(plan)["mlflow"]["trackingUri"]) == (
            "Succeeded",
            "https://removed.example.com",
        )
        assert plan.run is not None
        assert plan.run.tracking_uri == "https://removed.example.com"


def test_an_allowed_server_is_used() -> None:
    job = training_job({"mlflow": {"trackingUri": "http://other/"}})
    plan = decide(job, NOTHING, RunView(), NOW, SERVERS)
    assert plan.run is not None
    assert plan.run.tracking_uri == "http://other"
