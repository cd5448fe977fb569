"""The API server refuses malformed TrainingJobs with messages that name the field."""

import copy
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
EXAMPLES = sorted((HERE.parents[1] / "manifests/examples").glob("*.yaml"))
MALFORMED = yaml.safe_load((HERE / "malformed_trainingjobs.yaml").read_text())
NAMESPACE = f"test-validation-{uuid4().hex[:8]}"

GOOD: dict[str, Any] = {
    "apiVersion": "trainingjob.dev/v1alpha1",
    "kind": "TrainingJob",
    "metadata": {"name": "good"},
    "spec": {"image": "docker.io/trainingjob/trainer:dev", "args": ["run", "mnist"]},
}

# Every field that works, with the values that users write.
FULL_SPEC: dict[str, Any] = {
    "image": "registry.example.com:5000/team/trainer@sha256:0123456789abcdef",
    "imagePullPolicy": "Always",
    "imagePullSecrets": [{"name": "registry"}],
    "command": ["python", "-m", "train"],
    "args": ["--epochs", "5"],
    "workingDir": "/workspace",
    "env": [
        {"name": "SEED", "value": "1"},
        {"name": "TRAININGJOB_OPTION_EPOCHS", "value": "5"},
        {"name": "TRAININGJOB_SETTING_NOISE", "value": "0.5"},
        {"name": "NODE", "valueFrom": {"fieldRef": {"fieldPath": "spec.nodeName"}}},
        {"name": "MLFLOW_TRACKING_TOKEN", "valueFrom": {"secretKeyRef": {"name": "m", "key": "t"}}},
    ],
    "envFrom": [
        {"configMapRef": {"name": "settings"}},
        {"secretRef": {"name": "s"}, "prefix": "S_"},
    ],
    "resourcesPerNode": {
        "requests": {"cpu": 2, "memory": "0.5Gi", "nvidia.com/gpu": 8},
        "limits": {
            "cpu": "2500m",
            "memory": "1e9",
            "ephemeral-storage": "1Mi",
            "nvidia.com/gpu": "8",
        },
    },
    "volumes": [
        {"name": "data", "persistentVolumeClaim": {"claimName": "data", "readOnly": True}},
        {"name": "scratch", "emptyDir": {"sizeLimit": "10Gi"}},
        {"name": "script", "configMap": {"name": "s", "items": [{"key": "a", "path": "a.py"}]}},
        {
            "name": "fast",
            "ephemeral": {
                "volumeClaimTemplate": {
                    "metadata": {"labels": {"team": "vision"}},
                    "spec": {
                        "accessModes": ["ReadWriteOnce"],
                        "storageClassName": "fast",
                        "resources": {"requests": {"storage": "100Gi"}},
                    },
                }
            },
        },
    ],
    "volumeMounts": [
        {"name": "data", "mountPath": "/data", "readOnly": True},
        {"name": "scratch", "mountPath": "/scratch", "subPath": "a"},
        {"name": "scratch", "mountPath": "/cache"},
    ],
    "sharedMemory": "2Gi",
    "nodeSelector": {"nvidia.com/gpu.product": "NVIDIA-H100", "pool": ""},
    "tolerations": [{"key": "nvidia.com/gpu", "operator": "Exists", "effect": "NoSchedule"}],
    "affinity": {
        "nodeAffinity": {
            "requiredDuringSchedulingIgnoredDuringExecution": {
                "nodeSelectorTerms": [
                    {"matchExpressions": [{"key": "zone", "operator": "In", "values": ["a"]}]}
                ]
            }
        },
        "podAntiAffinity": {
            "preferredDuringSchedulingIgnoredDuringExecution": [
                {
                    "weight": 100,
                    "podAffinityTerm": {
                        "topologyKey": "kubernetes.io/hostname",
                        "labelSelector": {"matchLabels": {"team": "vision"}},
                    },
                }
            ]
        },
    },
    "priorityClassName": "high",
    "schedulerName": "volcano",
    "runtimeClassName": "nvidia",
    "serviceAccountName": "trainer",
    "podLabels": {"team": "vision", "example.com/cost-centre": "42"},
    "podAnnotations": {"example.com/note": "any text, also with spaces"},
    "terminationGracePeriodSeconds": 0,
    "numNodes": 1000,
    "numProcPerNode": 8,
    "runtimeRef": {"kind": "TrainingRuntime", "name": "gpu.large"},
    "suspend": True,
    "queueName": "gpus",
    "attemptHistoryLimit": 10,
    "managedBy": "trainingjob.dev/trainingjob-operator",
    "activeDeadlineSeconds": 86400,
    "preRunningDeadlineSeconds": 600,
    "ttlSecondsAfterFinished": 0,
    "cleanPodPolicy": "All",
    "checkpoint": {"volume": "data", "path": "/data/checkpoints", "everySeconds": 60, "keep": 1},
    "backoffLimit": 3,
    "stallPolicy": {"timeoutSeconds": 600, "action": "Restart"},
    "retry": {"retryableExitCodes": [42], "nonRetryableExitCodes": [139]},
    "mlflow": {
        "trackingUri": "https://mlflow.example.com/prefix",
        "experiment": "Any name / of mine",
        "workspace": "team-vision",
        "runName": "first",
        "tags": {
            "team": "vision",
            "ticket": "",
            "mlflow.user": "ann",
            "mlflow.note.content": "Baseline with **cosine** schedule",
            "mlflow.source.git.commit": "0123456789abcdef0123456789abcdef01234567",
        },
    },
    "monitoring": {"enabled": False, "intervalSeconds": 3600, "port": 1024},
}

Create = Callable[..., dict[str, Any]]


@pytest.fixture(scope="module")
def api(kwok: Kwok) -> Iterator[client.ApiClient]:
    kwok.kubectl("create", "namespace", NAMESPACE)
    yield config.new_client_from_config(str(kwok.kubeconfig))
    kwok.kubectl("delete", "namespace", NAMESPACE, "--wait=false")


@pytest.fixture
def create(api: client.ApiClient) -> Create:
    """Create a TrainingJob with strict field validation, as kubectl does."""

    def create(body: dict[str, Any], **options: str) -> dict[str, Any]:
        created: dict[str, Any] = client.CustomObjectsApi(api).create_namespaced_custom_object(
            "trainingjob.dev", "v1alpha1", NAMESPACE, "trainingjobs", body,
            field_validation="Strict", **options,
        )  # fmt: skip
        return created

    return create


@pytest.mark.parametrize("spec", [GOOD["spec"], {"runtimeRef": {"name": "gpu"}}, {}])
def test_a_job_is_stored_as_its_author_wrote_it(create: Create, spec: dict[str, Any]) -> None:
    """A default here would be a choice of the job, which no runtime may change."""
    assert create({**GOOD, "spec": spec}, dry_run="All")["spec"] == spec


def test_every_supported_field(create: Create) -> None:
    assert create({**GOOD, "spec": FULL_SPEC}, dry_run="All")["spec"] == FULL_SPEC


CHECKPOINTS: list[dict[str, Any]] = [
    {"claimName": "team-a.checkpoints", "path": "/checkpoints"},
    {
        "claimTemplate": {
            "accessModes": ["ReadWriteMany"],
            "storageClassName": "fast",
            "resources": {"requests": {"storage": "100Gi"}},
        },
        "claimRetention": "Keep",
        "path": "/checkpoints",
    },
]


@pytest.mark.parametrize("checkpoint", CHECKPOINTS)
def test_every_place_of_checkpoints(create: Create, checkpoint: dict[str, Any]) -> None:
    spec = {**GOOD["spec"], "checkpoint": checkpoint}
    created = create({**GOOD, "spec": spec}, dry_run="All")["spec"]["checkpoint"]
    assert created == checkpoint


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda path: path.stem)
def test_example(kwok: Kwok, api: client.ApiClient, example: Path) -> None:
    kwok.kubectl(
        "apply", "--dry-run=server", "--validate=strict",
        f"--namespace={NAMESPACE}", f"--filename={example}",
    )  # fmt: skip


@pytest.mark.parametrize(
    ("patch", "message"),
    [pytest.param(row["patch"], row["message"], id=row["id"]) for row in MALFORMED],
)
def test_malformed(create: Create, patch: dict[str, Any], message: str) -> None:
    with pytest.raises(client.ApiException) as refusal:
        create(merge_patch(GOOD, patch), dry_run="All")
    assert comparable(message) in comparable(json.loads(refusal.value.body)["message"])


def merge_patch(target: Any, patch: Any) -> Any:
    """RFC 7386."""
    if not isinstance(patch, dict):
        return patch
    result = copy.deepcopy(target) if isinstance(target, dict) else {}
    for key, value in patch.items():
        if value is None:
            result.pop(key, None)
        else:
            result[key] = merge_patch(result.get(key), value)
    return result
