"""Which initializers the API server takes, and what it answers to others."""

import json
from collections.abc import Iterator
from typing import Any
from uuid import uuid4

import pytest
from kubernetes import client, config

from tests.support.fixtures import Kwok

NAMESPACE = f"test-initializers-{uuid4().hex[:8]}"
DATA = {"name": "data", "source": "https://host/set.npz", "path": "/data"}
CLAIM = {"name": "sets", "persistentVolumeClaim": {"claimName": "sets"}}
LOGIN = {"name": "AWS_ACCESS_KEY_ID", "valueFrom": {"secretKeyRef": {"name": "s3", "key": "id"}}}


@pytest.fixture(scope="module")
def objects(kwok: Kwok) -> Iterator[client.CustomObjectsApi]:
    kwok.kubectl("create", "namespace", NAMESPACE)
    yield client.CustomObjectsApi(config.new_client_from_config(str(kwok.kubeconfig)))
    kwok.kubectl("delete", "namespace", NAMESPACE, "--wait=false")


def submit(objects: client.CustomObjectsApi, spec: dict[str, Any]) -> dict[str, Any]:
    """What the API server would store of a TrainingJob."""
    body = {
        "apiVersion": "trainingjob.dev/v1alpha1",
        "kind": "TrainingJob",
        "metadata": {"name": "job"},
        "spec": {"image": "trainer:1", **spec},
    }
    created: dict[str, Any] = objects.create_namespaced_custom_object(
        "trainingjob.dev", "v1alpha1", NAMESPACE, "trainingjobs", body,
        field_validation="Strict", dry_run="All",
    )  # fmt: skip
    found: dict[str, Any] = created["spec"]
    return found


@pytest.mark.parametrize(
    "source",
    [
        "s3://bucket",
        "s3://bucket/sets/mnist/",
        "http://10.0.0.1:8080/set",
        "https://host/set.npz?signature=a%20b",
        "pvc://sets",
        "pvc://sets/a/b",
        "models:/base/3",
        "models:/base@champion",
        "runs:/0123456789abcdef0123456789abcdef/model",
    ],
)
def test_sources(objects: client.CustomObjectsApi, source: str) -> None:
    asked = {"initializers": [{**DATA, "source": source, "env": [LOGIN]}]}
    assert submit(objects, asked)["initializers"] == asked["initializers"]


def test_several_in_one_volume_with_a_checksum(objects: client.CustomObjectsApi) -> None:
    asked = {
        "volumes": [CLAIM],
        "volumeMounts": [{"name": "sets", "mountPath": "/data"}],
        "initializers": [
            {**DATA, "path": "/data/a", "sha256": "0" * 64, "extract": True},
            {**DATA, "name": "b", "path": "/data/b"},
        ],
    }
    assert submit(objects, asked)["initializers"] == asked["initializers"]


@pytest.mark.parametrize(
    ("patch", "message"),
    [
        ({"source": "ftp://host/set"}, "spec.initializers.source must be s3://BUCKET/KEY"),
        ({"source": "file:///etc/passwd"}, "spec.initializers.source must be s3://BUCKET/KEY"),
        ({"source": "https://host"}, "spec.initializers.source must be s3://BUCKET/KEY"),
        ({"source": "pvc://Sets"}, "spec.initializers.source must be s3://BUCKET/KEY"),
        ({"source": "models:base"}, "spec.initializers.source must be s3://BUCKET/KEY"),
        ({"path": "data"}, "spec.initializers.path must be an absolute path"),
        ({"path": "/"}, "spec.initializers.path must be an absolute path"),
        ({"path": "/data/../etc"}, "spec.initializers.path must be an absolute path"),
        ({"path": "/opt/trainingjob"}, "not /opt/trainingjob, which is the agent's"),
        ({"path": "/opt/trainingjob/bin"}, "not /opt/trainingjob, which is the agent's"),
        ({"name": "My_Data"}, "spec.initializers.name must have only a-z, 0-9 and '-'"),
        ({"name": "a" * 33}, "spec.initializers[0].name: Too long"),
        ({"sha256": "0" * 63}, "spec.initializers[0].sha256 in body should match"),
        (
            {"source": "s3://bucket/key", "sha256": "0" * 64},
            "spec.initializers.sha256 is only for a source of http:// or https://",
        ),
        (
            {"env": [{"name": "MLFLOW_RUN_ID", "value": "1"}]},
            "spec.initializers.env must not set TRAININGJOB_*",
        ),
        ({"image": "mine:1"}, 'unknown field "spec.initializers[0].image"'),
        ({"command": ["sh"]}, 'unknown field "spec.initializers[0].command"'),
        ({"securityContext": {}}, 'unknown field "spec.initializers[0].securityContext"'),
        ({"volumeMounts": []}, 'unknown field "spec.initializers[0].volumeMounts"'),
    ],
)
def test_malformed(objects: client.CustomObjectsApi, patch: dict[str, Any], message: str) -> None:
    assert message in refusal(objects, {"initializers": [{**DATA, **patch}]})


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ({"initializers": [DATA, DATA]}, "spec.initializers[1]: Duplicate value"),
        (
            {
                "volumes": [CLAIM],
                "volumeMounts": [{"name": "sets", "mountPath": "/data", "readOnly": True}],
                "initializers": [{**DATA, "path": "/data/a"}],
            },
            "spec.initializers.path must not be in a volume that spec.volumeMounts mount readOnly",
        ),
        (
            {
                "volumes": [{**CLAIM, "name": "trainingjob-initializer-data"}],
                "initializers": [DATA],
            },
            "spec.volumes must not have names that start with trainingjob-initializer-",
        ),
    ],
)
def test_what_does_not_go_together(
    objects: client.CustomObjectsApi, spec: dict[str, Any], message: str
) -> None:
    assert message in refusal(objects, spec)


def refusal(objects: client.CustomObjectsApi, spec: dict[str, Any]) -> str:
    with pytest.raises(client.ApiException) as answer:
        submit(objects, spec)
    return str(json.loads(answer.value.body)["message"])
