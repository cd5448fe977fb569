from pathlib import Path

from tests.integration.client.conftest import Tj
from tests.integration.client.test_errors import kubeconfig
from tests.support.api import Cluster, manifest
from tests.support.fixtures import Kwok
from tests.support.processes import MlflowServer, free_port

REMEDY = (
    "  → its log: kubectl logs --all-namespaces --selector "
    "app.kubernetes.io/name=trainingjob-operator; docs/install.md"
)

UNASKED = (
    "? whether MLflow answers in pods: no pod of a job runs",
    "  → ask again while a job runs",
)


def marked(output: str) -> list[str]:
    """What an administrator's output has after the first line, which has address and version."""
    first, *rest = output.splitlines()
    assert first.startswith("✓ the API server https://")
    return rest


def test_what_an_administrator_sees(tj: Tj, cluster: Cluster, mlflow: MlflowServer) -> None:
    done = tj("doctor", environment={"MLFLOW_TRACKING_URI": mlflow.uri})
    lines = marked(done.stdout)
    assert lines == [
        f"✓ all rights in namespace {tj.namespace}",
        f"✓ 0 TrainingJobs in namespace {tj.namespace}",
        "✗ there is no operator in the cluster",
        REMEDY,
        "✓ 16 NVIDIA GPUs on 2 nodes",
        "✓ no queues of Kueue to be seen: leave --queue out",
        f"✓ MLflow at {mlflow.uri} answers",
        *UNASKED,
    ]
    assert done.returncode == 1


def test_what_a_guest_sees(tj: Tj, kwok: Kwok, cluster: Cluster, tmp_path: Path) -> None:
    namespace = cluster.namespace
    cluster.core.create_namespaced_service_account(namespace, {"metadata": {"name": "guest"}})
    kwok.kubectl(
        *("create", "rolebinding", "guest", "--clusterrole=view", f"--namespace={namespace}"),
        f"--serviceaccount={namespace}:guest",
    )
    token = kwok.kubectl("create", "token", "guest", f"--namespace={namespace}").strip()
    guest = kubeconfig(tj, tmp_path / "guest", token=token)
    cluster.apply(manifest("one"))
    address = f"http://127.0.0.1:{free_port()}"
    done = tj("doctor", environment={"KUBECONFIG": guest, "MLFLOW_TRACKING_URI": address})
    assert marked(done.stdout) == [
        (
            f"✗ no right in namespace {namespace} to create trainingjobs, patch trainingjobs, "
            "delete trainingjobs, create configmaps"
        ),
        f"  → ask for the role edit in namespace {namespace}, or choose another --namespace",
        f"✓ 1 TrainingJobs in namespace {namespace}",
        "? whether the operator runs, this login may not see",
        "? which GPUs there are, this login may not see",
        "✓ no queues of Kueue to be seen: leave --queue out",
        f"✗ MLflow at {address} does not answer from here: [Errno 111] Connection refused",
        (
            "  → only logs of pods that are gone, and results, need it: set MLFLOW_TRACKING_URI to "
            "an address that this machine reaches"
        ),
        *UNASKED,
    ]
    assert done.returncode == 1
