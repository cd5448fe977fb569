"""A claim that is made for the job: the cluster's default storage class gives it its volume."""

import pytest

from tests.support.api import Cluster
from tests.support.node import Installed, wait_for_end
from tests.support.training import (
    CODE,
    assert_went_on,
    create_code,
    kubectl,
    outcomes,
    steady_job,
    wait_for_steps,
)
from tests.support.waiting import wait_for

CLAIM = {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}}


@pytest.mark.timeout(1200)
def test_a_training_that_was_killed_goes_on_from_its_claim(
    installed: Installed, cluster: Cluster
) -> None:
    create_code(cluster)
    cluster.apply(
        steady_job(
            cluster,
            "claimed",
            nodes=2,
            backoffLimit=1,
            checkpoint={"claimTemplate": CLAIM, "path": "/checkpoints"},
            volumes=[{"name": "code", "configMap": {"name": CODE}}],
            volumeMounts=[{"name": "code", "mountPath": "/code"}],
        )
    )
    pod = wait_for_steps(cluster, "claimed")
    kubectl("--namespace", cluster.namespace, "delete", "pod", pod, "--wait=false")
    status = wait_for_end(cluster, "claimed", 600)

    assert status["state"] == "Succeeded", status
    assert outcomes(status) == [("Failed", "Signal", 143), ("Succeeded", None, 0)]
    assert_went_on(installed.mlflow, cluster, "claimed", status["mlflow"]["runId"])

    cluster.delete("claimed")
    wait_for("its volume is gone", lambda: not volumes(cluster), 120)


def volumes(cluster: Cluster) -> list[str]:
    """The volumes that claims of the namespace are bound to."""
    return [
        one.metadata.name
        for one in cluster.core.list_persistent_volume().items
        if one.spec.claim_ref and one.spec.claim_ref.namespace == cluster.namespace
    ]
