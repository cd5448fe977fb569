"""What the pods get to reach their run: the workspace, and a token to log in with."""

from typing import Any

import pytest
from trainingjob_operator.core import manifests
from trainingjob_operator.core.tracking_uris import PodToken, Tracking

from tests.support.jobs import RUN, training_job

URI = "http://mlflow:5000"
FILE = "MLFLOW_TRACKING_TOKEN_FILE"


def pod(tracking: Tracking, **spec: Any) -> dict[str, Any]:
    child = manifests.child_job(training_job(spec), 1, RUN, tracking)
    found: dict[str, Any] = child["spec"]["template"]["spec"]
    return found


def environment(found: dict[str, Any]) -> dict[str, str | None]:
    return {one["name"]: one.get("value") for one in found["containers"][0]["env"]}


def test_the_workspace_is_in_the_variable_that_mlflow_reads() -> None:
    assert environment(pod(Tracking(URI, "vision")))["MLFLOW_WORKSPACE"] == "vision"
    assert "MLFLOW_WORKSPACE" not in environment(pod(Tracking(URI)))


def test_the_token_is_where_mlflows_own_login_looks_for_it() -> None:
    found = pod(Tracking(URI, token=PodToken("mlflow", 1200)))
    assert found["volumes"] == [
        {
            "name": "trainingjob-mlflow-token",
            "projected": {
                "sources": [
                    {
                        "serviceAccountToken": {
                            "path": "token",
                            "expirationSeconds": 1200,
                            "audience": "mlflow",
                        }
                    },
                    {
                        "downwardAPI": {
                            "items": [
                                {
                                    "path": "namespace",
                                    "fieldRef": {"fieldPath": "metadata.namespace"},
                                }
                            ]
                        }
                    },
                ]
            },
        }
    ]
    directory = "/var/run/secrets/kubernetes.io/serviceaccount"
    assert found["containers"][0]["volumeMounts"] == [
        {"name": "trainingjob-mlflow-token", "mountPath": directory, "readOnly": True}
    ]
    assert environment(found)[FILE] == f"{directory}/token"
    assert found["automountServiceAccountToken"] is False


@pytest.mark.parametrize(
    ("spec", "directory", "file"),
    [
        pytest.param(
            {"serviceAccountName": "trainer"},
            "/var/run/secrets/trainingjob.dev/mlflow",
            "/var/run/secrets/trainingjob.dev/mlflow/token",
            id="beside-the-token-for-the-API-server",
        ),
        pytest.param(
            {"env": [{"name": FILE, "value": "/vault/token"}]},
            "/var/run/secrets/kubernetes.io/serviceaccount",
            "/vault/token",
            id="a-file-of-the-users-counts",
        ),
    ],
)
def test_another_place(spec: dict[str, Any], directory: str, file: str) -> None:
    found = pod(Tracking(URI, token=PodToken()), **spec)
    assert found["containers"][0]["volumeMounts"][-1]["mountPath"] == directory
    assert environment(found)[FILE] == file
    token = found["volumes"][-1]["projected"]["sources"][0]["serviceAccountToken"]
    assert token == {"path": "token", "expirationSeconds": 3600}
