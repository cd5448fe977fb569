from typing import Any

import pytest
from trainingjob_operator.core import injection, manifests
from trainingjob_operator.core.decide import decide
from trainingjob_operator.core.hardening import PodDefaults
from trainingjob_operator.core.injection import AgentImage
from trainingjob_operator.core.observe import Observed
from trainingjob_operator.core.tracking_uris import Tracking, TrackingUris

from tests.support.jobs import RUN, at, run, training_job

AGENT = AgentImage("registry.example.com/agent:1", "IfNotPresent")
BY_DEFAULT = AgentImage("registry.example.com/agent:1", by_default=True)
TRACKING = Tracking("http://mlflow:5000")


def child(spec: dict[str, Any]) -> dict[str, Any]:
    return manifests.child_job(training_job(spec), 1, RUN, TRACKING)


def injected(spec: dict[str, Any], agent: AgentImage = AGENT) -> dict[str, Any]:
    return injection.with_agent(child(spec), training_job(spec).spec, agent)


def pod(job: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = job["spec"]["template"]["spec"]
    return found


def test_an_injected_agent_is_copied_by_an_init_container_and_runs_the_command() -> None:
    spec = {
        "agent": "Inject",
        "command": ["python", "train.py"],
        "args": ["--epochs", "3"],
        "volumes": [{"name": "data", "emptyDir": {}}],
        "volumeMounts": [{"name": "data", "mountPath": "/data"}],
        "resourcesPerNode": {
            "requests": {"cpu": "2", "memory": "4Gi"},
            "limits": {"memory": "4Gi", "nvidia.com/gpu": 1},
        },
    }
    before, after = pod(child(spec)), pod(injected(spec))
    [trainer] = before["containers"]
    assert after == {
        **before,
        "initContainers": [
            {
                "name": "trainingjob-agent",
                "image": "registry.example.com/agent:1",
                "imagePullPolicy": "IfNotPresent",
                "command": ["/opt/trainingjob/bin/install", "/agent"],
                "terminationMessagePolicy": "FallbackToLogsOnError",
                "securityContext": {
                    "allowPrivilegeEscalation": False,
                    "capabilities": {"drop": ["ALL"]},
                    "readOnlyRootFilesystem": True,
                },
                "resources": {
                    "requests": {"cpu": "2", "memory": "4Gi"},
                    "limits": {"memory": "4Gi"},
                },
                "volumeMounts": [{"name": "trainingjob-agent", "mountPath": "/agent"}],
            }
        ],
        "containers": [
            {
                **trainer,
                "command": ["/opt/trainingjob/bin/trainingjob-exec", "--", "python", "train.py"],
                "args": ["--epochs", "3"],
                "volumeMounts": [
                    {"name": "data", "mountPath": "/data"},
                    {"name": "trainingjob-agent", "mountPath": "/opt/trainingjob"},
                ],
            }
        ],
        "volumes": [
            {"name": "data", "emptyDir": {}},
            {"name": "trainingjob-agent", "emptyDir": {}},
        ],
    }


def test_without_resources_and_volumes_there_are_those_of_the_agent_alone() -> None:
    made = pod(injected({"agent": "Inject", "command": ["train"]}, BY_DEFAULT))
    [copy] = made["initContainers"]
    assert "resources" not in copy
    assert "imagePullPolicy" not in copy
    assert made["volumes"] == [{"name": "trainingjob-agent", "emptyDir": {}}]


@pytest.mark.parametrize(
    ("spec", "agent", "brought"),
    [
        ({}, AGENT, False),
        ({"command": ["train"]}, AGENT, False),
        ({"command": ["train"], "agent": "Image"}, AGENT, False),
        ({"command": ["train"], "agent": "Inject"}, AGENT, True),
        ({}, BY_DEFAULT, False),
        ({"command": ["train"]}, BY_DEFAULT, True),
        ({"command": ["train"], "agent": "Image"}, BY_DEFAULT, False),
        ({"command": ["tini", "--", "trainingjob-exec", "--", "train"]}, BY_DEFAULT, False),
        ({"command": ["/opt/venv/bin/trainingjob-exec", "train"]}, BY_DEFAULT, False),
        ({"command": ["trainingjob-trainer", "run", "mnist"]}, BY_DEFAULT, False),
    ],
)
def test_who_gets_the_agent(spec: dict[str, Any], agent: AgentImage, brought: bool) -> None:
    assert injection.is_injected(training_job(spec).spec, agent) is brought
    if not brought:
        assert injected(spec, agent) == child(spec)


def test_the_job_that_is_created_has_the_agent() -> None:
    job = training_job({"command": ["train"]})
    uris = TrackingUris("http://mlflow:5000", "http://mlflow:5000")
    plan = decide(job, Observed(None, ()), run(), at(0), uris, PodDefaults(agent=BY_DEFAULT))
    [created] = [action.manifest for action in plan.actions]
    assert created is not None
    assert pod(created)["initContainers"][0]["image"] == "registry.example.com/agent:1"
