"""The operator's environment, and the files that it names."""

import json
from typing import Any

import pytest

from tests.unit.chart.conftest import Render

NAME = "trainingjob-operator"


def environment(objects: dict[tuple[str, str], dict[str, Any]]) -> dict[str, Any]:
    container = objects["Deployment", NAME]["spec"]["template"]["spec"]["containers"][0]
    return {one["name"]: one.get("value", one.get("valueFrom")) for one in container["env"]}


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (
            'mlflow.uiUrl="https://ui.example.com"',
            {"TRAININGJOB_OPERATOR_MLFLOW_UI_URL": "https://ui.example.com"},
        ),
        (
            'mlflow.allowedTrackingUris=["https://a.example.com","http://b:5000"]',
            {
                "TRAININGJOB_OPERATOR_MLFLOW_ALLOWED_TRACKING_URIS": (
                    "https://a.example.com,http://b:5000"
                )
            },
        ),
        (
            'mlflow.existingSecret="login"',
            {"TRAININGJOB_OPERATOR_MLFLOW_LOGIN_DIRECTORY": "/etc/mlflow-login"},
        ),
        (
            'extraEnv=[{"name":"HTTPS_PROXY","value":"http://proxy.example.com:3128"}]',
            {"HTTPS_PROXY": "http://proxy.example.com:3128"},
        ),
        (
            'trainingPods.securityContext={"fsGroup":null,"runAsUser":1000}',
            {
                "TRAININGJOB_OPERATOR_POD_SECURITY_CONTEXT": (
                    '{"fsGroupChangePolicy":"OnRootMismatch","runAsUser":1000}'
                )
            },
        ),
        (
            "trainingPods.securityContext=null",
            {"TRAININGJOB_OPERATOR_POD_SECURITY_CONTEXT": "{}"},
        ),
        (
            'mlflow.ca={"configMap":"company-ca"}',
            {"MLFLOW_TRACKING_SERVER_CERT_PATH": "/etc/mlflow-ca/ca.crt"},
        ),
    ],
)
def test_environment_that_a_value_adds(
    render: Render, value: str, expected: dict[str, Any]
) -> None:
    assert environment(render(value)) == {**environment(render()), **expected}


def test_login_is_mounted_where_the_environment_says(render: Render) -> None:
    pod = render('mlflow.existingSecret="login"')["Deployment", NAME]["spec"]["template"]["spec"]
    mount = {"name": "mlflow-login", "mountPath": "/etc/mlflow-login", "readOnly": True}
    assert mount in pod["containers"][0]["volumeMounts"]
    assert {"name": "mlflow-login", "secret": {"secretName": "login"}} in pod["volumes"]


def test_ca_certificate_is_mounted_where_the_environment_says(render: Render) -> None:
    pod = render('mlflow.ca={"secret":"company-ca"}')["Deployment", NAME]["spec"]["template"][
        "spec"
    ]
    mount = {"name": "mlflow-ca", "mountPath": "/etc/mlflow-ca", "readOnly": True}
    assert mount in pod["containers"][0]["volumeMounts"]
    assert {"name": "mlflow-ca", "secret": {"secretName": "company-ca"}} in pod["volumes"]


def test_further_mlflow_servers_have_their_login_and_ca_in_files(render: Render) -> None:
    servers = (
        'mlflow.servers=[{"uri":"https://a","existingSecret":"a-login",'
        '"ca":{"configMap":"a-ca","key":"root.pem"}},{"uri":"https://b","uiUrl":"https://ui.b"}]'
    )
    objects = render(servers)
    reported = environment(objects)["TRAININGJOB_OPERATOR_MLFLOW_SERVERS"]
    files = "/etc/mlflow-servers/0"
    assert json.loads(reported) == [
        {"uri": "https://a", "loginDirectory": f"{files}/login", "caPath": f"{files}/ca/root.pem"},
        {"uri": "https://b", "uiUrl": "https://ui.b"},
    ]
    pod = objects["Deployment", NAME]["spec"]["template"]["spec"]
    assert pod["containers"][0]["volumeMounts"][1:] == [
        {"name": "mlflow-0-login", "mountPath": f"{files}/login", "readOnly": True},
        {"name": "mlflow-0-ca", "mountPath": f"{files}/ca", "readOnly": True},
    ]
    assert pod["volumes"][1:] == [
        {"name": "mlflow-0-login", "secret": {"secretName": "a-login"}},
        {"name": "mlflow-0-ca", "configMap": {"name": "a-ca"}},
    ]
