"""The values that bind tenants in MLflow, and logins by tokens of ServiceAccounts."""

import json
from collections.abc import Callable
from typing import Any

import pytest

from tests.unit.chart.conftest import Render

PREFIX = "TRAININGJOB_OPERATOR_MLFLOW_"
TOKEN = '{"enabled":true,"audience":"mlflow","expirationSeconds":1200}'
PROJECTED = {
    "sources": [
        {
            "serviceAccountToken": {
                "path": "MLFLOW_TRACKING_TOKEN",
                "expirationSeconds": 1200,
                "audience": "mlflow",
            }
        }
    ]
}


def pod(objects: dict[tuple[str, str], dict[str, Any]]) -> dict[str, Any]:
    found: dict[str, Any] = objects["Deployment", "trainingjob-operator"]["spec"]["template"]
    spec: dict[str, Any] = found["spec"]
    return spec


def settings(found: dict[str, Any]) -> dict[str, Any]:
    variables = {one["name"]: one.get("value") for one in found["containers"][0]["env"]}
    return {
        name.removeprefix(PREFIX): value
        for name, value in variables.items()
        if name.startswith(PREFIX)
    }


def test_pattern_and_workspaces_reach_the_operator(render: Render) -> None:
    found = settings(
        pod(
            render(
                'mlflow.experimentPattern="{namespace}/*"',
                'mlflow.workspaces={"team-a":"vision","*":"{namespace}"}',
            )
        )
    )
    assert found["EXPERIMENT_PATTERN"] == "{namespace}/*"
    assert json.loads(found["WORKSPACES"]) == {"team-a": "vision", "*": "{namespace}"}


def test_the_operators_token_is_its_login_and_the_pods_get_one(render: Render) -> None:
    found = pod(render(f"mlflow.serviceAccountToken={TOKEN}"))
    assert settings(found)["LOGIN_DIRECTORY"] == "/etc/mlflow-login"
    assert json.loads(settings(found)["POD_TOKEN"]) == {
        "audience": "mlflow",
        "expirationSeconds": 1200,
    }
    mount = {"name": "mlflow-login", "mountPath": "/etc/mlflow-login", "readOnly": True}
    assert mount in found["containers"][0]["volumeMounts"]
    assert {"name": "mlflow-login", "projected": PROJECTED} in found["volumes"]


def test_a_further_server_has_its_own(render: Render) -> None:
    server = (
        f'{{"uri":"https://a","serviceAccountToken":{TOKEN},"workspaces":{{"team-a":"vision"}}}}'
    )
    found = pod(render(f"mlflow.servers=[{server}]"))
    files = "/etc/mlflow-servers/0/login"
    assert json.loads(settings(found)["SERVERS"]) == [
        {
            "uri": "https://a",
            "loginDirectory": files,
            "podToken": {"audience": "mlflow", "expirationSeconds": 1200},
            "workspaces": {"team-a": "vision"},
        }
    ]
    mount = {"name": "mlflow-0-login", "mountPath": files, "readOnly": True}
    assert mount in found["containers"][0]["volumeMounts"]
    assert {"name": "mlflow-0-login", "projected": PROJECTED} in found["volumes"]


@pytest.mark.parametrize(
    ("values", "message"),
    [
        (
            (f"mlflow.serviceAccountToken={TOKEN}", 'mlflow.existingSecret="login"'),
            "mlflow.existingSecret and mlflow.serviceAccountToken.enabled are both set",
        ),
        (('mlflow.experimentPattern="{team}/*"',), "experimentPattern"),
        (('mlflow.workspaces={"team-a":"Vision"}',), "workspaces"),
    ],
)
def test_what_cannot_be_is_refused(
    template: Callable[..., Any],
    values: tuple[str, ...],
    message: str,
) -> None:
    answer = template('mlflow.trackingUri="https://mlflow.example.com"', *values)
    assert answer.returncode != 0
    assert message in answer.stderr
