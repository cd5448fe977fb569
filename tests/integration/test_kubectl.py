"""What kubectl shows of a TrainingJob, and explains of its fields."""

import pytest

from tests.support.api import Cluster, manifest
from tests.support.fixtures import Kwok
from tests.support.waiting import wait_for


def test_columns(kwok: Kwok, cluster: Cluster) -> None:
    cluster.apply(manifest("columns"))
    status = {
        "state": "Failed",
        "numNodes": 3,
        "attempt": 1,
        "progress": {"percentage": 42, "completed": "42%", "remaining": "3m20s"},
        "mlflow": {"runId": "0123", "status": "FAILED", "url": "http://mlflow/0123"},
        "failure": {"reason": "OOMKilled", "message": "rank 0 ran out of memory"},
    }
    cluster.objects.patch_namespaced_custom_object_status(
        "trainingjob.dev",
        "v1alpha1",
        cluster.namespace,
        "trainingjobs",
        "columns",
        {"status": status},
    )
    header, row = table(kwok, cluster, "tj")
    assert header == ["NAME", "STATE", "PROGRESS", "ETA", "ATTEMPT", "RUN", "AGE"]
    assert row[:-1] == ["columns", "Failed", "42%", "3m20s", "1", "0123"]
    header, row = table(kwok, cluster, "trainingjobs", "--output=wide")
    assert header[-7:] == ["NODES", "RUN", "STATUS", "RUN", "URL", "REASON", "MESSAGE"]
    assert row[7:11] == ["3", "FAILED", "http://mlflow/0123", "OOMKilled"]


@pytest.mark.parametrize(
    ("path", "text"),
    [
        ("tj", "A PyTorch training whose MLflow run always has the status of its pods."),
        ("tj.spec.monitoring.intervalSeconds", "Seconds from one sample"),
        ("trainingjob.spec.env.valueFrom.secretKeyRef", "Selects a key of a secret"),
        ("trainingjob.status.conditions", "MLflowSynced"),
    ],
)
def test_explain(kwok: Kwok, path: str, text: str) -> None:
    def explained() -> bool:
        return text in " ".join(kwok.kubectl("explain", path).split())

    # The API server publishes the schema of a new CRD some time after it serves it.
    wait_for(f"{path} is explained", explained, 60)


def table(kwok: Kwok, cluster: Cluster, *resource: str) -> list[list[str]]:
    printed = kwok.kubectl("get", *resource, "columns", f"--namespace={cluster.namespace}")
    return [line.split() for line in printed.splitlines()]
