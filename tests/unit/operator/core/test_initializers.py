"""Initializers: the init containers of a pod, and what the status has of them."""

from dataclasses import replace
from typing import Any

import pytest
from trainingjob_operator.core import initializers, injection, manifests
from trainingjob_operator.core.cause import Cause
from trainingjob_operator.core.decide import decide
from trainingjob_operator.core.decode import pod_view
from trainingjob_operator.core.injection import AgentImage
from trainingjob_operator.core.observe import ContainerEnd, InitFailure, Observed
from trainingjob_operator.core.policies import preparing
from trainingjob_operator.core.policies.failure import TRAINER_MEMORY, cause_of
from trainingjob_operator.core.tracking_uris import Tracking, TrackingUris

from tests.support.jobs import RUN, at, child, pod, run, started, training_job
from tests.support.runtimes import asking, seeing, view

AGENT = AgentImage("registry.example.com/agent:1", "IfNotPresent")
TRACKING = Tracking("http://mlflow:5000")
SERVERS = TrackingUris("http://mlflow:5000", "http://mlflow:5000")
HARDENED = {
    "allowPrivilegeEscalation": False,
    "capabilities": {"drop": ["ALL"]},
    "readOnlyRootFilesystem": True,
}
DATA = {"name": "data", "source": "https://host/set.npz?sig=1", "path": "/data"}
MODEL = {"name": "model", "source": "models:/base/3", "path": "/model"}
CLAIM = {"name": "sets", "persistentVolumeClaim": {"claimName": "sets"}}


def made(spec: dict[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """The pod's spec without and with its initializers."""
    job = training_job(spec)
    before = manifests.child_job(job, 1, RUN, TRACKING)
    after = initializers.with_initializers(before, job.spec, AGENT)
    return before["spec"]["template"]["spec"], after["spec"]["template"]["spec"]


def commands(spec: dict[str, Any]) -> list[list[str]]:
    _, after = made(spec)
    return [container["command"] for container in after["initContainers"]]


def test_a_job_without_initializers_has_none() -> None:
    before, after = made({})
    assert after == before


def test_an_initializer_runs_in_the_agents_image_with_all_that_the_trainer_sees() -> None:
    spec = {
        "env": [{"name": "A", "value": "1"}, {"name": "TOKEN", "value": "x"}],
        "envFrom": [{"secretRef": {"name": "login"}}],
        "resourcesPerNode": {"limits": {"memory": "4Gi", "nvidia.com/gpu": 1}},
        "initializers": [{**DATA, "env": [{"name": "TOKEN", "value": "y"}], "sha256": "0" * 64}],
    }
    before, after = made(spec)
    [trainer] = before["containers"]
    env = [one for one in trainer["env"] if one["name"] != "TOKEN"]
    mount = {"name": "trainingjob-initializer-data", "mountPath": "/data"}
    assert after == {
        **before,
        "initContainers": [
            {
                "name": "trainingjob-initializer-data",
                "image": "registry.example.com/agent:1",
                "imagePullPolicy": "IfNotPresent",
                "command": [
                    "/opt/trainingjob/bin/initialize",
                    "data",
                    "https://host/set.npz?sig=1",
                    "/data",
                    "--sha256",
                    "0" * 64,
                ],
                "env": [*env, {"name": "TOKEN", "value": "y"}],
                "envFrom": [{"secretRef": {"name": "login"}}],
                "terminationMessagePolicy": "FallbackToLogsOnError",
                "securityContext": HARDENED,
                "resources": {"limits": {"memory": "4Gi"}},
                "volumeMounts": [mount],
            }
        ],
        "containers": [{**trainer, "volumeMounts": [mount]}],
        "volumes": [{"name": "trainingjob-initializer-data", "emptyDir": {}}],
    }


def test_a_path_in_a_volume_of_the_job_needs_no_other() -> None:
    mount = {"name": "sets", "mountPath": "/data"}
    inner = {**DATA, "path": "/data/mnist"}
    before, after = made({"volumes": [CLAIM], "volumeMounts": [mount], "initializers": [inner]})
    assert after["volumes"] == before["volumes"]
    assert after["containers"] == before["containers"]
    assert after["initContainers"][0]["volumeMounts"] == [mount]


def test_archives_are_unpacked_where_the_job_says_so() -> None:
    [command] = commands({"initializers": [{**DATA, "extract": True}]})
    assert command[4:] == ["--extract"]


@pytest.mark.parametrize(
    ("volume", "nodes", "once"),
    [
        (CLAIM, 2, True),
        (CLAIM, 1, False),
        ({"name": "sets", "emptyDir": {}}, 2, False),
        (None, 2, False),
    ],
)
def test_several_nodes_fill_one_claim_once(
    volume: dict[str, Any] | None, nodes: int, once: bool
) -> None:
    there = {"volumes": [volume], "volumeMounts": [{"name": "sets", "mountPath": "/data"}]}
    spec = {"numNodes": nodes, "initializers": [DATA], **(there if volume else {})}
    [command] = commands(spec)
    assert ("--once" in command) is once


@pytest.mark.parametrize(
    ("source", "claim", "mounted"),
    [
        ("pvc://sets", "sets", "/source"),
        ("pvc://sets/a/b", "sets", "/source/a/b"),
    ],
)
def test_the_claim_of_a_source_is_mounted_for_reading(
    source: str, claim: str, mounted: str
) -> None:
    _, after = made({"initializers": [{**DATA, "source": source}]})
    [container] = after["initContainers"]
    assert container["command"][4:] == ["--mounted", mounted]
    assert container["volumeMounts"][-1] == {
        "name": "trainingjob-source-data",
        "mountPath": "/source",
        "readOnly": True,
    }
    assert after["volumes"][-1] == {
        "name": "trainingjob-source-data",
        "persistentVolumeClaim": {"claimName": claim, "readOnly": True},
    }


def test_initializers_run_after_sidecars_and_the_agent_and_before_other_init_containers() -> None:
    job = training_job(
        {
            "agent": "Inject",
            "command": ["train"],
            "initializers": [DATA, MODEL],
            "initContainers": [{"name": "unpack", "image": "busybox"}],
            "sidecars": [{"name": "mesh", "image": "mesh"}],
        }
    )
    made = initializers.with_initializers(
        manifests.child_job(job, 1, RUN, TRACKING), job.spec, AGENT
    )
    made = injection.with_agent(made, job.spec, AGENT)
    names = [one["name"] for one in made["spec"]["template"]["spec"]["initContainers"]]
    assert names == [
        "trainingjob-agent",
        "mesh",
        "trainingjob-initializer-data",
        "trainingjob-initializer-model",
        "unpack",
    ]


def test_the_job_that_is_created_has_them() -> None:
    job = training_job({"initializers": [DATA]})
    plan = decide(job, Observed(None, ()), run(), at(0), SERVERS)
    [created] = [action.manifest for action in plan.actions]
    assert created is not None
    pod = created["spec"]["template"]["spec"]
    assert [one["name"] for one in pod["initContainers"]] == ["trainingjob-initializer-data"]


LABELS = {"trainingjob.dev/name": "mnist", "trainingjob.dev/attempt": "1"}


@pytest.mark.parametrize(
    ("states", "running"),
    [
        ((), ""),
        (({"waiting": {"reason": "PodInitializing"}}, {}), ""),
        (({"running": {}}, {}), "data"),
        (({"terminated": {"exitCode": 0}}, {"running": {}}), "model"),
    ],
)
def test_which_one_runs(states: tuple[dict[str, Any], ...], running: str) -> None:
    names = ("trainingjob-initializer-data", "trainingjob-initializer-model")
    statuses = [{"name": name, "state": state} for name, state in zip(names, states, strict=False)]
    other = {"name": "unpack", "state": {"running": {}}}
    raw = {
        "metadata": {"namespace": "ml", "name": "mnist-1-0-x", "labels": LABELS},
        "status": {"initContainerStatuses": [other, *statuses]},
    }
    assert pod_view(raw).initializer == running


@pytest.mark.parametrize(
    ("spec", "running", "tag", "text"),
    [
        ({}, ("",), "", None),
        ({}, ("data",), "", "initializer data (1 of 2) fetches https://host/set.npz"),
        (
            {},
            ("data",),
            "1 data: 1.0 MB of 4.0 MB, 25%",
            "initializer data (1 of 2) fetches https://host/set.npz: 1.0 MB of 4.0 MB, 25%",
        ),
        ({}, ("model",), "1 data: 4.0 MB", "initializer model (2 of 2) fetches models:/base/3"),
        ({}, ("data",), "0 data: 4.0 MB", "initializer data (1 of 2) fetches https://host/set.npz"),
        ({}, ("gone",), "", "initializer gone runs"),
        (
            {"numNodes": 2},
            ("", "data"),
            "1 data: 1.0 MB of 4.0 MB, 25%",
            "initializer data (1 of 2) fetches https://host/set.npz on 1 of 2 nodes",
        ),
    ],
)
def test_what_the_status_has(
    spec: dict[str, Any], running: tuple[str, ...], tag: str, text: str | None
) -> None:
    job = training_job({"initializers": [DATA, MODEL], **spec}, started())
    pods = tuple(pod(rank, initializer=name) for rank, name in enumerate(running))
    assert preparing.text(job, pods, run(preparing=tag)) == text


def test_progress_is_in_the_status_and_the_condition_until_the_pods_run() -> None:
    job = training_job({"initializers": [DATA]}, started())
    tagged = run(preparing="1 data: 1.0 MB of 4.0 MB, 25%")
    fetching = Observed(child(), (pod(initializer="data"),))
    text = "initializer data (1 of 1) fetches https://host/set.npz: 1.0 MB of 4.0 MB, 25%"
    status = decide(job, fetching, tagged, at(20), SERVERS).status
    assert status is not None
    assert status.preparing == text
    [condition] = [one for one in status.conditions if one.type == "Running"]
    assert (condition.status, condition.reason, condition.message) == ("False", "Preparing", text)

    job = job.model_copy(update={"status": status})
    assert decide(job, fetching, tagged, at(30), SERVERS).status is None
    over = replace(fetching, pods=(pod(phase="Running", started_at=at(25)),))
    status = decide(job, over, tagged, at(30), SERVERS).status
    assert status is not None
    assert (status.state, status.preparing) == ("Running", None)


REPORT = '{"reason": "DataNotFound", "message": "https://host/set.npz: the server answers 404"}'


@pytest.mark.parametrize(
    ("end", "reason", "message"),
    [
        (
            ContainerEnd(1, "Error", REPORT, at(20)),
            "DataNotFound",
            "initializer data: https://host/set.npz: the server answers 404",
        ),
        (
            ContainerEnd(137, "Error", "", at(20)),
            "InitializerFailed",
            "initializer data: the container was ended by SIGKILL",
        ),
        (
            ContainerEnd(137, "OOMKilled", "", at(20)),
            "OOMKilled",
            f"initializer data: the container used more memory than {TRAINER_MEMORY}",
        ),
    ],
)
def test_the_cause_of_an_attempt_whose_data_cannot_be_fetched(
    end: ContainerEnd, reason: str, message: str
) -> None:
    failed = pod(phase="Failed", init_failure=InitFailure("trainingjob-initializer-data", end))
    assert cause_of(child(failed=True), (failed,)) == Cause(
        reason, message, "node-0", 0, end.exit_code
    )


def test_a_job_does_not_write_to_the_volumes_of_a_template() -> None:
    node = {"name": "node", "hostPath": {"path": "/etc"}}
    mounts = [{"name": "node", "mountPath": "/node"}]
    template = {
        "spec": {"volumes": [node], "containers": [{"name": "trainer", "volumeMounts": mounts}]}
    }
    job = asking({"initializers": [{**DATA, "path": "/node/cron.d"}]})
    plan = decide(job, seeing(view({"template": template})), run(), at(0), SERVERS)
    assert plan.status is not None
    assert plan.status.failure is not None
    assert plan.status.failure.reason == "RuntimeOverrideForbidden"
    assert "initializers[data].path" in (plan.status.failure.message or "")
