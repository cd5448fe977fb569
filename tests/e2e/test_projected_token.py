"""An MLflow that takes tokens of ServiceAccounts: operator and pods log in with projected ones."""

from collections.abc import Iterator

import pytest
from kubernetes import client

from tests.support.api import Cluster
from tests.support.node import IMAGE, SCRIPTS, Installed, script_job, wait_for_end
from tests.support.releases import MLFLOW, NAME, a_release
from tests.support.training import kubectl

GATE = "token-gate"
RESTRICTED = {
    "allowPrivilegeEscalation": False,
    "capabilities": {"drop": ["ALL"]},
    "runAsNonRoot": True,
    "seccompProfile": {"type": "RuntimeDefault"},
}


@pytest.fixture
def gate(cluster: Cluster) -> Iterator[str]:
    """The address of the cluster's MLflow behind a login with tokens."""
    core, namespace = cluster.core, cluster.namespace
    access = client.RbacAuthorizationV1Api(core.api_client)
    core.create_namespaced_service_account(namespace, {"metadata": {"name": GATE}})
    access.create_cluster_role_binding(
        {
            "metadata": {"name": namespace},
            "roleRef": {
                "apiGroup": "rbac.authorization.k8s.io",
                "kind": "ClusterRole",
                "name": "system:auth-delegator",
            },
            "subjects": [{"kind": "ServiceAccount", "name": GATE, "namespace": namespace}],
        }
    )
    container = {
        "name": GATE,
        "image": IMAGE,
        "command": ["tini", "--", "python", "-c", (SCRIPTS / "token_gate.py").read_text()],
        "env": [{"name": "TARGET", "value": MLFLOW}],
        "readinessProbe": {"tcpSocket": {"port": 5000}, "periodSeconds": 1},
        "securityContext": RESTRICTED,
    }
    core.create_namespaced_pod(
        namespace,
        {
            "metadata": {"name": GATE, "labels": {"app": GATE}},
            "spec": {"serviceAccountName": GATE, "containers": [container]},
        },
    )
    core.create_namespaced_service(
        namespace,
        {
            "metadata": {"name": GATE},
            "spec": {"selector": {"app": GATE}, "ports": [{"port": 5000}]},
        },
    )
    kubectl("wait", f"pod/{GATE}", "--for=condition=Ready", f"--namespace={namespace}")
    yield f"http://{GATE}.{namespace}.svc:5000"
    access.delete_cluster_role_binding(namespace)


@pytest.fixture
def system(cluster: Cluster, gate: str) -> Iterator[str]:
    """The namespace of a release that logs in there."""
    login = {"enabled": "true", "audience": "mlflow", "expirationSeconds": "600"}
    values = {f"mlflow__serviceAccountToken__{name}": value for name, value in login.items()}
    with a_release(cluster, mlflow__trackingUri=gate, **values) as release:
        yield release.namespace


def test_operator_and_pod_log_in_with_their_own_tokens(
    installed: Installed, cluster: Cluster, system: str
) -> None:
    job = script_job("fails", "exit_3.py")
    job["spec"]["command"][2:2] = ["trainingjob-exec", "--"]
    cluster.apply(job)
    status = wait_for_end(cluster, "fails", 240)
    assert status["failure"]["message"].endswith("the data set is empty")
    run = installed.mlflow.get_run(status["mlflow"]["runId"])
    assert (run.info.status, run.data.metrics["train/loss"]) == ("FAILED", 1.0)
    assert "system/cpu_utilization_percentage" in run.data.metrics
    log = kubectl("logs", GATE, f"--namespace={cluster.namespace}").splitlines()
    assert {line.removeprefix("user ") for line in log if line.startswith("user ")} == {
        f"system:serviceaccount:{system}:{NAME}",
        f"system:serviceaccount:{cluster.namespace}:default",
    }
