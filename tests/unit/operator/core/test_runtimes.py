"""decide(): the runtime of a job is stored before anything else, waited for, or refused."""

from dataclasses import replace
from typing import Any

import pytest
from trainingjob_operator.api import TrainingJob
from trainingjob_operator.core.intent import Plan, RunView
from trainingjob_operator.core.observe import Observed

from tests.support.jobs import SERVERS, at, child, goodput, run, started, training_job
from tests.support.plans import NOW, condition, decide, wire
from tests.support.runtimes import asking, seeing, view, why_it_does_not_begin, with_runtime

GPU = view({"defaults": {"image": "ngc:1", "mlflow": {"trackingUri": "http://other"}}})


def test_the_runtime_is_stored_before_the_run_is_made() -> None:
    job = asking({"args": ["run"]})
    stored = decide(job, seeing(GPU), RunView(), at(1), SERVERS)
    assert stored == Plan(status=stored.status)
    assert wire(stored) == {
        "conditions": [],
        "observedGeneration": 1,
        "runtime": {
            "kind": "ClusterTrainingRuntime",
            "name": "gpu",
            "uid": "r-1",
            "generation": 3,
            "sources": {"image": "Job", "args": "Job", "mlflow": "Runtime"},
            "spec": {
                "defaults": {"image": "ngc:1", "mlflow": {"trackingUri": "http://other"}},
                "template": {},
            },
        },
        "attempt": 0,
        "attempts": [],
    }
    assert stored.status is not None


def test_then_it_begins_as_any_other_with_the_spec_that_counts() -> None:
    job = with_runtime(GPU.spec.model_dump(by_alias=True))
    plan = decide(job, seeing(None), RunView(), at(1), SERVERS)
    assert plan.status is None
    assert plan.run is not None
    assert plan.run.tracking_uri == "http://other"


@pytest.mark.parametrize(
    "status",
    [
        pytest.param({}, id="not-begun"),
        pytest.param({"state": "Suspended"}, id="suspended"),
        pytest.param(started("Queued"), id="queued"),
        pytest.param(started("Running"), id="running"),
        pytest.param(started("Restarting"), id="restarting"),
    ],
)
def test_what_becomes_of_the_runtime_changes_no_job_that_has_it(status: dict[str, Any]) -> None:
    job = with_runtime(GPU.spec.model_dump(by_alias=True), **status)
    other = view({"defaults": {"image": "other:1"}, "allow": []}, uid="r-2")
    plans = [
        decide(job, replace(seeing(one), job=None), run(), NOW, SERVERS)
        for one in (GPU, other, None)
    ]
    assert plans[0] == plans[1] == plans[2]


@pytest.mark.parametrize(
    ("job", "observed"),
    [
        pytest.param(training_job({}, started()), Observed(None, ()), id="has-an-attempt"),
        pytest.param(training_job(), Observed(child(), ()), id="has-a-job"),
        pytest.param(training_job({}, {"state": "Suspended"}), Observed(None, ()), id="suspended"),
        pytest.param(training_job({}, {"state": "Pending"}), Observed(None, ()), id="pending"),
    ],
)
def test_a_job_that_began_without_a_default_goes_on_without(
    job: TrainingJob, observed: Observed
) -> None:
    default = replace(observed, runtime=view({"defaults": {"image": "x"}}, name="default"))
    without = decide(job, observed, RunView(), NOW, SERVERS)
    assert decide(job, default, RunView(), NOW, SERVERS) == without


def test_a_job_that_has_a_run_already_gets_no_default() -> None:
    default = seeing(view({"defaults": {"numNodes": 4}}, name="default"))
    plan = decide(training_job(), default, run(), at(1), SERVERS)
    assert plan.status is None
    new = decide(training_job(), default, RunView(), at(1), SERVERS)
    assert new.status is not None
    assert new.status.runtime is not None


WAITING: list[Any] = [
    pytest.param(
        asking(),
        seeing(None),
        "RuntimeNotFound",
        "spec.runtimeRef: there is no ClusterTrainingRuntime gpu: create it, or choose another "
        "one; the job begins as soon as it is there",
        id="cluster",
    ),
    pytest.param(
        asking(kind="TrainingRuntime", name="mine"),
        seeing(None),
        "RuntimeNotFound",
        "spec.runtimeRef: there is no TrainingRuntime mine in the job's namespace: create it, or "
        "choose another one; the job begins as soon as it is there",
        id="namespace",
    ),
    pytest.param(
        asking(),
        seeing(None, cluster_runtimes=False),
        "RuntimeNotFound",
        "spec.runtimeRef: there is no ClusterTrainingRuntime gpu: this operator serves some "
        "namespaces only (watchNamespaces) and reads no ClusterTrainingRuntime: use a "
        "TrainingRuntime of the namespace",
        id="cluster-of-a-namespaced-operator",
    ),
    pytest.param(
        training_job({"image": ""}),
        seeing(None),
        "ImageMissing",
        "spec.image is not set, and there is no runtime named default: set it, or name a runtime "
        "with an image in spec.runtimeRef",
        id="no-image",
    ),
    pytest.param(
        asking({"image": ""}),
        seeing(view({})),
        "ImageMissing",
        "spec.image is not set, and ClusterTrainingRuntime gpu has none: set it, or name a runtime "
        "with an image in spec.runtimeRef",
        id="no-image-in-the-runtime",
    ),
    pytest.param(
        asking(),
        seeing(view({"defaults": {"agent": "Inject"}})),
        "CommandMissing",
        "spec.command is not set, and ClusterTrainingRuntime gpu has none: the agent runs the "
        "command, and cannot know what the image runs; write down the image's ENTRYPOINT and CMD",
        id="no-command-for-the-agent",
    ),
    pytest.param(
        asking(),
        seeing(view({}, problem="spec.allow: Input should be a valid list")),
        "RuntimeInvalid",
        "the operator cannot use ClusterTrainingRuntime gpu: spec.allow: Input should be a valid "
        "list; correct the runtime",
        id="unreadable",
    ),
    pytest.param(
        asking(),
        seeing(view({"defaults": {"numNodes": 0}})),
        "RuntimeInvalid",
        "the job and ClusterTrainingRuntime gpu do not go together: spec.numNodes: Input should be "
        "greater than or equal to 1; correct the runtime, or the TrainingJob",
        id="no-spec",
    ),
]


@pytest.mark.parametrize(("job", "observed", "reason", "message"), WAITING)
def test_a_job_waits_for_a_runtime_that_can_be_used(
    job: TrainingJob, observed: Observed, reason: str, message: str
) -> None:
    failure = why_it_does_not_begin(job, observed)
    assert (failure.reason, failure.message) == (reason, message)
    plan = decide(job, observed, RunView(), NOW, SERVERS)
    assert plan.status is not None
    assert (plan.status.state, plan.status.attempts) == ("Pending", [])
    waiting = job.model_copy(update={"status": plan.status})
    assert decide(waiting, observed, RunView(), at(300), SERVERS) == Plan()
    deleted = waiting.model_copy(
        update={"metadata": waiting.metadata.model_copy(update={"deletion_timestamp": at(300)})}
    )
    assert decide(deleted, observed, RunView(), at(301), SERVERS) == Plan()


def test_it_begins_as_soon_as_there_is_one() -> None:
    job = asking()
    pending = decide(job, seeing(None), RunView(), NOW, SERVERS)
    waiting = job.model_copy(update={"status": pending.status})
    stored = wire(decide(waiting, seeing(GPU), RunView(), at(60), SERVERS))
    assert stored["state"] == "Pending"
    assert "failure" not in stored
    assert stored["runtime"]["name"] == "gpu"
    assert stored["conditions"] == [
        condition("Running", "False", "WaitingForRun", "waiting for MLflow to create the run")
    ]
    assert stored["goodput"] == goodput(queued=30)


def test_another_reason_is_reported_anew() -> None:
    job = asking()
    pending = decide(job, seeing(None), RunView(), NOW, SERVERS)
    waiting = job.model_copy(update={"status": pending.status})
    assert (
        why_it_does_not_begin(waiting, seeing(view({}, problem="why"))).reason == "RuntimeInvalid"
    )


@pytest.mark.parametrize("kind", ["TrainingRuntime", "ClusterTrainingRuntime"])
def test_a_default_is_for_jobs_that_name_none(kind: str) -> None:
    default = view({"defaults": {"image": "x"}}, kind=kind, name="default")
    plan = decide(training_job({"image": ""}), seeing(default), RunView(), NOW, SERVERS)
    assert plan.status is not None
    assert plan.status.runtime is not None
    assert (plan.status.runtime.kind, plan.status.runtime.name) == (kind, "default")
