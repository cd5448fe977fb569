"""The API server refuses init containers and sidecars that would leave the restricted standard."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
import yaml
from kubernetes import client, config

from tests.support.fixtures import Kwok
from tests.support.refusals import comparable

HERE = Path(__file__).parent
MALFORMED = yaml.safe_load((HERE / "malformed_containers.yaml").read_text())
NAMESPACE = f"test-containers-{uuid4().hex[:8]}"
CONTAINER = {"name": "fetch", "image": "fetch:1"}
FULL: dict[str, Any] = {
    "name": "fetch",
    "image": "fetch:1",
    "imagePullPolicy": "Always",
    "command": ["fetch"],
    "args": ["s3://bucket/data"],
    "workingDir": "/data",
    "env": [{"name": "TOKEN", "valueFrom": {"secretKeyRef": {"name": "s3", "key": "token"}}}],
    "envFrom": [{"secretRef": {"name": "s3"}}],
    "resources": {
        "requests": {"cpu": "100m", "memory": "1Gi"},
        "limits": {"memory": "1Gi"},
        "claims": [{"name": "gpu"}],
    },
    "volumeMounts": [{"name": "data", "mountPath": "/data", "mountPropagation": "HostToContainer"}],
    "securityContext": {"runAsUser": 1000, "runAsGroup": 0, "readOnlyRootFilesystem": True},
}
PROBE = {"httpGet": {"path": "/ready", "port": 15020}, "periodSeconds": 1, "failureThreshold": 60}
FULL_SPEC: dict[str, Any] = {
    "image": "trainer:1",
    "volumes": [{"name": "data", "emptyDir": {}}],
    "securityContext": {
        "runAsUser": 1000,
        "runAsGroup": 0,
        "fsGroup": 0,
        "fsGroupChangePolicy": "Always",
        "supplementalGroups": [0, 2000],
    },
    "readOnlyRootFilesystem": True,
    "initContainers": [FULL],
    "sidecars": [{**FULL, "name": "mesh", "startupProbe": PROBE}],
    "resourceClaims": [{"name": "gpu", "resourceClaimTemplateName": "gpu"}],
    "resourcesPerNode": {"claims": [{"name": "gpu", "request": "one"}]},
    "topologySpreadConstraints": [
        {
            "topologyKey": "topology.kubernetes.io/zone",
            "whenUnsatisfiable": "DoNotSchedule",
            "maxSkew": 1,
            "minDomains": 2,
            "labelSelector": {"matchLabels": {"team": "vision"}},
            "matchLabelKeys": ["trainingjob.dev/attempt"],
        }
    ],
    "dnsPolicy": "None",
    "dnsConfig": {
        "nameservers": ["10.0.0.53", "fd00::53"],
        "searches": ["example.com"],
        "options": [{"name": "ndots", "value": "2"}],
    },
    "hostAliases": [{"ip": "10.0.0.7", "hostnames": ["nfs", "nfs.example.com"]}],
    "jobLabels": {"helm.sh/chart": "trainings"},
    "jobAnnotations": {"example.com/note": "any text"},
}
# What the API server adds.
Submit = Callable[..., dict[str, Any]]


@pytest.fixture(scope="module")
def api(kwok: Kwok) -> Iterator[client.CustomObjectsApi]:
    kwok.kubectl("create", "namespace", NAMESPACE)
    yield client.CustomObjectsApi(config.new_client_from_config(str(kwok.kubeconfig)))
    kwok.kubectl("delete", "namespace", NAMESPACE, "--wait=false")


@pytest.fixture
def submit(api: client.CustomObjectsApi) -> Submit:
    """Create a TrainingJob with strict field validation, as kubectl does."""

    def submit(spec: dict[str, Any], **options: str) -> dict[str, Any]:
        body = {
            "apiVersion": "trainingjob.dev/v1alpha1",
            "kind": "TrainingJob",
            "metadata": {"name": "job"},
            "spec": spec,
        }
        created: dict[str, Any] = api.create_namespaced_custom_object(
            "trainingjob.dev", "v1alpha1", NAMESPACE, "trainingjobs", body,
            field_validation="Strict", **options,
        )  # fmt: skip
        return created

    return submit


def test_all_that_a_job_may_choose_is_kept(submit: Submit) -> None:
    assert submit(FULL_SPEC, dry_run="All")["spec"] == FULL_SPEC


@pytest.mark.parametrize(
    ("name", "how", "stored"),
    [("applied", [], "{}"), ("at-the-server", ["--server-side"], '{"fsGroup":null}')],
)
def test_no_fs_group_however_it_is_sent(
    kwok: Kwok, api: client.CustomObjectsApi, name: str, how: list[str], stored: str
) -> None:
    """`kubectl apply` drops nulls by itself; to the operator both are the same."""
    text = yaml.safe_dump(
        {
            "apiVersion": "trainingjob.dev/v1alpha1",
            "kind": "TrainingJob",
            "metadata": {"name": name, "namespace": NAMESPACE},
            "spec": {"image": "trainer:1", "securityContext": {"fsGroup": None}},
        }
    )
    for suspend in ("true", "false"):
        kwok.kubectl("apply", *how, "--filename=-", stdin=f"{text}  suspend: {suspend}\n")
        path = "--output=jsonpath={.spec.securityContext}"
        assert kwok.kubectl("get", "tj", name, f"--namespace={NAMESPACE}", path) == stored


@pytest.mark.parametrize("field", ["initContainers", "sidecars"])
@pytest.mark.parametrize(
    ("patch", "message"),
    [pytest.param(row["patch"], row["message"], id=row["id"]) for row in MALFORMED],
)
def test_malformed(submit: Submit, field: str, patch: dict[str, Any], message: str) -> None:
    container = {**CONTAINER, **patch}
    if container["image"] is None:
        del container["image"]
    volumes = [{"name": "data", "emptyDir": {}}]
    with pytest.raises(client.ApiException) as refusal:
        submit({"image": "trainer:1", "volumes": volumes, field: [container]}, dry_run="All")
    expected = message.replace("FIELD", f"spec.{field}")
    assert comparable(expected) in comparable(json.loads(refusal.value.body)["message"])


ACROSS: list[Any] = [
    pytest.param(
        {"initContainers": [CONTAINER], "sidecars": [CONTAINER]},
        "spec.sidecars must not have the name of one of spec.initContainers",
        id="one-name-in-both",
    ),
    pytest.param(
        {"initContainers": [CONTAINER, CONTAINER]},
        "spec.initContainers[1]: Duplicate value",
        id="one-name-twice",
    ),
    pytest.param(
        {"initContainers": [{**CONTAINER, "startupProbe": PROBE}]},
        "spec.initContainers must not have a startupProbe",
        id="probe-of-an-init-container",
    ),
    pytest.param(
        {"sidecars": [{**CONTAINER, "startupProbe": {"periodSeconds": 1}}]},
        "spec.sidecars must each have exactly one of exec, grpc, httpGet, tcpSocket",
        id="probe-of-nothing",
    ),
    pytest.param(
        {"sidecars": [{**CONTAINER, "startupProbe": {"tcpSocket": {"port": "http"}}}]},
        "spec.sidecars[0].startupProbe.tcpSocket.port in body must be of type integer",
        id="port-with-a-name",
    ),
]


@pytest.mark.parametrize(("spec", "message"), ACROSS)
def test_what_does_not_go_together(submit: Submit, spec: dict[str, Any], message: str) -> None:
    with pytest.raises(client.ApiException) as refusal:
        submit({"image": "trainer:1", **spec}, dry_run="All")
    assert comparable(message) in comparable(json.loads(refusal.value.body)["message"])
