"""The API server refuses malformed runtimes with messages that name the field."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
import yaml
from kubernetes import client, config
from trainingjob_operator.api import OF_THE_JOB
from trainingjob_operator.core import manifests

from tests.integration.test_validation import FULL_SPEC
from tests.support.fixtures import Kwok
from tests.support.jobs import RUN, TRACKING
from tests.support.refusals import comparable
from tests.support.runtimes import with_runtime

EXAMPLES = sorted((Path(__file__).parents[2] / "manifests/runtimes").glob("*.yaml"))
NAMESPACE = f"test-runtimes-{uuid4().hex[:8]}"

# More than any TrainingJob may ask for.
POD: dict[str, Any] = {
    "hostNetwork": True,
    "hostIPC": True,
    "runtimeClassName": "kata",
    "securityContext": {"runAsUser": 0, "sysctls": [{"name": "net.core.somaxconn", "value": "1"}]},
    "volumes": [
        {"name": "fabric", "hostPath": {"path": "/dev/infiniband", "type": "Directory"}},
        {"name": "share", "nfs": {"server": "nas", "path": "/"}},
    ],
    "initContainers": [
        {"name": "tune", "image": "tools:1", "securityContext": {"privileged": True}}
    ],
    "containers": [
        {
            "name": "trainer",
            "env": [{"name": "TRAININGJOB_OPTION_EPOCHS", "value": "5"}],
            "securityContext": {"capabilities": {"add": ["IPC_LOCK"]}},
            "volumeMounts": [{"name": "fabric", "mountPath": "/dev/infiniband"}],
        },
        # Not the trainer: what it reads of MLflow is its own affair.
        {"name": "log", "image": "log:1", "env": [{"name": "MLFLOW_TRACKING_URI", "value": "u"}]},
    ],
    "aFieldOfALaterRelease": {"kept": [1, None, "x"]},
}


@pytest.fixture(scope="module")
def api(kwok: Kwok) -> Iterator[client.CustomObjectsApi]:
    kwok.kubectl("create", "namespace", NAMESPACE)
    yield client.CustomObjectsApi(config.new_client_from_config(str(kwok.kubeconfig)))
    kwok.kubectl("delete", "namespace", NAMESPACE, "--wait=false")


def created(
    api: client.CustomObjectsApi, spec: dict[str, Any], kind: str = "TrainingRuntime"
) -> dict[str, Any]:
    """The spec as the API server would store it, with strict field validation as by kubectl."""
    body = {
        "apiVersion": "trainingjob.dev/v1alpha1",
        "kind": kind,
        "metadata": {"name": "gpu"},
        "spec": spec,
    }
    place = ("trainingjob.dev", "v1alpha1")
    how = {"dry_run": "All", "field_validation": "Strict"}
    if kind == "TrainingRuntime":
        found = api.create_namespaced_custom_object(
            *place, NAMESPACE, "trainingruntimes", body, **how
        )
    else:
        found = api.create_cluster_custom_object(*place, "clustertrainingruntimes", body, **how)
    stored: dict[str, Any] = found["spec"]
    return stored


@pytest.mark.parametrize("kind", ["TrainingRuntime", "ClusterTrainingRuntime"])
def test_every_field(api: client.CustomObjectsApi, kind: str) -> None:
    defaults = {name: value for name, value in FULL_SPEC.items() if name not in OF_THE_JOB}
    metadata = {"labels": {"team": "a"}, "annotations": {"network": "ib"}}
    spec = {
        "defaults": defaults,
        "allow": [*defaults, "mlflow.tags"],
        "template": {"metadata": metadata, "spec": POD},
    }
    assert created(api, spec, kind) == spec


@pytest.mark.parametrize(
    "spec",
    [
        pytest.param({}, id="nothing"),
        pytest.param({"allow": []}, id="nothing-allowed"),
        pytest.param({"template": {"spec": {}}}, id="an-empty-template"),
        pytest.param({"defaults": {"image": "x"}, "template": {}}, id="an-image"),
    ],
)
def test_no_field_is_needed_and_no_default_is_written(
    api: client.CustomObjectsApi, spec: dict[str, Any]
) -> None:
    assert created(api, spec) == spec


def pod(**spec: Any) -> dict[str, Any]:
    return {"template": {"spec": spec}}


def defaults(**spec: Any) -> dict[str, Any]:
    return {"defaults": spec}


MALFORMED: list[Any] = [
    pytest.param({"default": {}}, 'unknown field "spec.default"', id="unknown-field"),
    pytest.param(
        defaults(suspend=True), 'unknown field "spec.defaults.suspend"', id="what-is-the-jobs"
    ),
    pytest.param(
        defaults(runtimeRef={"name": "x"}),
        'unknown field "spec.defaults.runtimeRef"',
        id="a-runtime-of-its-own",
    ),
    pytest.param(defaults(numNodes=0), "spec.defaults.numNodes: Invalid value", id="bounds"),
    pytest.param(
        defaults(image="two words"),
        "spec.defaults.image must be an image reference without spaces",
        id="image",
    ),
    pytest.param(
        defaults(env=[{"name": "PET_NNODES", "value": "1"}]),
        "spec.defaults.env must not set TRAININGJOB_*",
        id="the-operators-variable",
    ),
    pytest.param(
        defaults(volumes=[{"name": "host", "hostPath": {"path": "/"}}]),
        'unknown field "spec.defaults.volumes[0].hostPath"',
        id="only-a-template-has-a-host-path",
    ),
    pytest.param(
        defaults(volumeMounts=[{"name": "data", "mountPath": "/data"}]),
        "spec.defaults.volumeMounts must each name an entry of spec.defaults.volumes",
        id="mount-without-a-volume",
    ),
    pytest.param(
        defaults(mlflow={"trackingUri": "ftp://x"}),
        "spec.defaults.mlflow.trackingUri must be a URL",
        id="server",
    ),
    pytest.param(
        {"allow": ["args", "imgae"]},
        "spec.allow must name fields of a TrainingJob's spec, such as args or mlflow.tags",
        id="allow",
    ),
    pytest.param(
        {"template": {"metadata": {"labels": {"trainingjob.dev/uid": "x"}}}},
        "spec.template.metadata.labels must not have keys of trainingjob.dev/",
        id="the-operators-label",
    ),
    pytest.param(
        pod(restartPolicy="OnFailure"),
        "spec.template.spec.restartPolicy must be Never",
        id="restarts",
    ),
    *(
        pytest.param(pod(**{name: value}), f"spec.template.spec.{name} is the operator's", id=name)
        for name, value in (("hostname", "x"), ("subdomain", "x"), ("activeDeadlineSeconds", 9))
    ),
    pytest.param(
        pod(containers=[{"name": "trainer", "env": [{"name": "MLFLOW_RUN_ID", "value": "x"}]}]),
        "spec.template.spec.containers must not set variables of the operator",
        id="the-operators-variable-in-the-trainer",
    ),
    pytest.param(
        pod(containers=[{"name": "trainer"}, {"name": "trainer"}]),
        "spec.template.spec.containers[1]: Duplicate value",
        id="two-trainers",
    ),
    pytest.param(pod(containers=[{"image": "x"}]), "Required value", id="no-name"),
    pytest.param(
        pod(containers=[{"name": "trainingjob-agent"}]),
        "spec.template.spec.containers must not have a name that starts with trainingjob-",
        id="the-operators-container",
    ),
    pytest.param(
        pod(initContainers=[{"name": "trainer"}]),
        "spec.template.spec.initContainers must not have the name trainer",
        id="trainer-before-the-trainer",
    ),
    *(
        pytest.param(
            pod(volumes=[{"name": name}]),
            "spec.template.spec.volumes must not have the name shared-memory",
            id=name,
        )
        for name in ("shared-memory", "trainingjob-checkpoints")
    ),
]


@pytest.mark.parametrize(("spec", "message"), MALFORMED)
def test_malformed(api: client.CustomObjectsApi, spec: dict[str, Any], message: str) -> None:
    with pytest.raises(client.ApiException) as refusal:
        created(api, spec)
    assert comparable(message) in comparable(json.loads(refusal.value.body)["message"])


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda path: path.stem)
def test_example(kwok: Kwok, api: client.CustomObjectsApi, example: Path) -> None:
    kwok.kubectl(
        "apply", "--dry-run=server", "--validate=strict",
        f"--namespace={NAMESPACE}", f"--filename={example}",
    )  # fmt: skip


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda path: path.stem)
def test_jobs_with_an_example_have_pods_that_the_api_server_takes(
    kwok: Kwok, api: client.CustomObjectsApi, example: Path
) -> None:
    runtime = yaml.safe_load(example.read_text())["spec"]
    job = with_runtime(runtime, {"numNodes": 2})
    made = manifests.child_job(job, 1, RUN, TRACKING)
    made["metadata"]["namespace"] = NAMESPACE
    kwok.kubectl(
        "create", "--dry-run=server", "--validate=strict", "--filename=-", stdin=json.dumps(made)
    )
