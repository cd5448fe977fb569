from typing import Any

import pytest

from tests.unit.chart.conftest import Render

DEMO = "mlflow.demo.enabled=true"
# Each request of MLflow's runs in one of anyio's threads.
UVICORN_THREADS = 40
HOSTS = [
    "localhost:*",
    "127.0.0.1:*",
    "mlflow",
    "mlflow:5000",
    "mlflow.ns",
    "mlflow.ns:5000",
    "mlflow.ns.svc",
    "mlflow.ns.svc:5000",
    "mlflow.ns.svc.cluster.local",
    "mlflow.ns.svc.cluster.local:5000",
    "$(NODE_ADDRESS):30500",
    "demo.lan",
]
ORIGINS = ["http://$(NODE_ADDRESS):30500", "http://demo.lan", "https://demo.lan"]


def server_arguments(objects: dict[tuple[str, str], dict[str, Any]]) -> list[str]:
    container = objects["Deployment", "mlflow"]["spec"]["template"]["spec"]["containers"][0]
    arguments: list[str] = container["args"]
    return arguments


def test_is_not_there_unless_asked_for(render: Render) -> None:
    assert not [name for _, name in render() if name.startswith("mlflow")]


def test_operator_uses_it_when_no_server_is_named(render: Render) -> None:
    objects = render(DEMO, 'mlflow.trackingUri=""')
    operator = objects["Deployment", "trainingjob-operator"]["spec"]["template"]["spec"]
    assert {
        "name": "TRAININGJOB_OPERATOR_MLFLOW_TRACKING_URI",
        "value": "http://mlflow.ns.svc:5000",
    } in operator["containers"][0]["env"]


def test_server_answers_only_to_the_names_it_is_reached_by(render: Render) -> None:
    objects = render(DEMO, "mlflow.demo.nodePort=30500", 'mlflow.demo.allowedHosts=["demo.lan"]')
    assert server_arguments(objects) == [
        "--host=0.0.0.0",
        "--port=5000",
        "--workers=1",
        "--backend-store-uri=sqlite:////data/mlflow.db",
        "--serve-artifacts",
        "--artifacts-destination=/data/artifacts",
        "--allowed-hosts=" + ",".join(HOSTS),
        "--cors-allowed-origins=" + ",".join(ORIGINS),
    ]


def test_runs_no_jobs_of_its_own_and_has_connections_for_all_its_threads(render: Render) -> None:
    deployment = render(DEMO)["Deployment", "mlflow"]
    env = deployment["spec"]["template"]["spec"]["containers"][0]["env"]
    values = {one["name"]: one.get("value") for one in env}
    assert values["MLFLOW_SERVER_ENABLE_JOB_EXECUTION"] == "false"
    assert int(values["MLFLOW_SQLALCHEMYSTORE_MAX_OVERFLOW"]) == 2 * UVICORN_THREADS


def test_everything_of_it_says_that_it_is_a_demo(render: Render) -> None:
    objects = render(DEMO, "mlflow.demo.persistence.enabled=true")
    parts = {kind: one for (kind, name), one in objects.items() if name.startswith("mlflow")}
    assert set(parts) == {"Deployment", "Service", "PersistentVolumeClaim"}
    for part in parts.values():
        warning = part["metadata"]["annotations"]["trainingjob.dev/warning"]
        assert warning.startswith("Demo only")


@pytest.mark.parametrize(
    ("values", "port"),
    [
        ([], {"name": "http", "port": 5000, "targetPort": "http"}),
        (
            ["mlflow.demo.nodePort=30500"],
            {"name": "http", "port": 5000, "targetPort": "http", "nodePort": 30500},
        ),
    ],
)
def test_service(render: Render, values: list[str], port: dict[str, Any]) -> None:
    service = render(DEMO, *values)["Service", "mlflow"]
    assert service["spec"] == {
        "type": "NodePort" if values else "ClusterIP",
        "selector": {
            "app.kubernetes.io/name": "mlflow-demo",
            "app.kubernetes.io/instance": "trainingjob-operator",
        },
        "ports": [port],
    }


def test_pods_pass_the_restricted_pod_security_standard(render: Render) -> None:
    pods = [
        one["spec"]["template"]["spec"]
        for (kind, _), one in render(DEMO).items()
        if kind == "Deployment"
    ]
    for pod in pods:
        assert pod["securityContext"]["runAsNonRoot"] is True
        assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
        for container in pod["containers"]:
            assert container["securityContext"] == {
                "allowPrivilegeEscalation": False,
                "readOnlyRootFilesystem": True,
                "capabilities": {"drop": ["ALL"]},
            }
    assert len(pods) == 2
