"""decide(): which fields a job may set beside those of its runtime, and which it may not."""

from typing import Any

import pytest
from trainingjob_operator.api import RuntimeStatus
from trainingjob_operator.core.intent import Plan, RunView

from tests.support.jobs import SERVERS, at
from tests.support.plans import NOW, decide
from tests.support.runtimes import asking, seeing, view, why_it_does_not_begin

GPU = view({"defaults": {"image": "ngc:1"}})
TEMPLATE: dict[str, Any] = {
    "spec": {
        "nodeSelector": {"pool": "a"},
        "securityContext": {"runAsUser": 0},
        "volumes": [{"name": "fabric", "hostPath": {"path": "/dev"}}],
        "initContainers": [{"name": "sysctl", "securityContext": {"privileged": True}}],
        "containers": [{"name": "trainer", "image": "ngc:1", "env": [{"name": "A", "value": "1"}]}],
    },
}
ALLOW = ["image", "args", "mlflow.tags", "mlflow.runName"]
# What a job sets, and what the answer names.
REFUSED: list[Any] = [
    pytest.param({"allow": ALLOW}, {"command": ["sh"]}, "spec.command", "spec.allow has ", id="no"),
    pytest.param({"allow": []}, {}, "spec.image", "spec.allow has no field", id="nothing-allowed"),
    pytest.param(
        {"allow": ALLOW},
        {"mlflow": {"tags": {"a": "b"}, "experiment": "other"}},
        "spec.mlflow.experiment",
        "spec.allow has image, args, mlflow.tags, mlflow.runName",
        id="a-part",
    ),
    pytest.param({"template": TEMPLATE}, {}, "spec.image", "spec.template sets it", id="a-value"),
    pytest.param(
        {"template": TEMPLATE},
        {"image": "ngc:1", "nodeSelector": {"pool": "b"}},
        "spec.nodeSelector.pool",
        "spec.template sets it",
        id="a-label",
    ),
    pytest.param(
        {"template": TEMPLATE},
        {"image": "ngc:1", "env": [{"name": "A", "value": "2"}]},
        "spec.env[A]",
        "spec.template sets it",
        id="a-variable",
    ),
    pytest.param(
        {"template": TEMPLATE},
        {"image": "ngc:1", "volumes": [{"name": "fabric", "emptyDir": {}}]},
        "spec.volumes[fabric]",
        "spec.template sets it",
        id="a-volume-in-place-of-the-templates",
    ),
    pytest.param(
        {"template": TEMPLATE},
        {"image": "ngc:1", "volumeMounts": [{"name": "fabric", "mountPath": "/host"}]},
        "spec.volumeMounts[/host]",
        "the volume fabric is that of spec.template",
        id="a-mount-of-the-templates-volume",
    ),
]


@pytest.mark.parametrize(("runtime", "spec", "field", "why"), REFUSED)
def test_a_job_that_sets_what_it_may_not_has_failed(
    runtime: dict[str, Any], spec: dict[str, Any], field: str, why: str
) -> None:
    job, observed = asking(spec), seeing(view(runtime))
    failure = why_it_does_not_begin(job, observed)
    assert failure.reason == "RuntimeOverrideForbidden"
    message = failure.message or ""
    assert message.startswith(f"{field} is not allowed with ClusterTrainingRuntime gpu: {why}")
    plan = decide(job, observed, RunView(), NOW, SERVERS)
    assert plan.status is not None
    assert plan.status.state == "Failed"
    ended = job.model_copy(update={"status": plan.status})
    assert decide(ended, seeing(GPU), RunView(), at(60), SERVERS) == Plan()


@pytest.mark.parametrize(
    "spec",
    [
        {"args": ["x"], "mlflow": {"tags": {"a": "b"}, "runName": "r"}, "suspend": True},
        {"managedBy": "trainingjob.dev/trainingjob-operator"},
    ],
)
def test_what_is_allowed_is_the_jobs_to_set(spec: dict[str, Any]) -> None:
    plan = decide(asking(spec), seeing(view({"allow": ALLOW})), RunView(), NOW, SERVERS)
    assert plan.status is not None
    assert isinstance(plan.status.runtime, RuntimeStatus)
