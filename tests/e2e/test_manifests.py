"""manifests/operator.yaml without Helm, in place of the release of the chart."""

from pathlib import Path

import pytest

from demo.cluster import ROOT, SYSTEM_NAMESPACE
from tests.support.api import Cluster
from tests.support.node import Installed, operator_away, script_job, wait_for_end
from tests.support.releases import MLFLOW
from tests.support.training import kubectl
from tests.support.waiting import wait_for

# Those of the release stay: its operator is away, and nobody else has these names.
NAME = "without-helm"


def manifests(cluster: Cluster, target: Path) -> str:
    """The file as a user changes it: image and server. Names differ from those of the release."""
    text = (ROOT / "manifests" / "operator.yaml").read_text()
    for old, new in (
        (f"http://mlflow.{SYSTEM_NAMESPACE}.svc:5000", MLFLOW.replace(SYSTEM_NAMESPACE, "@")),
        ("trainingjob/operator:0.1.0", "trainingjob/operator:dev"),
        (SYSTEM_NAMESPACE, f"{cluster.namespace}-system"),
        ("trainingjob-operator", NAME),
        ("@", SYSTEM_NAMESPACE),
    ):
        assert old in text, old
        text = text.replace(old, new)
    target.write_text(text)
    return str(target)


@pytest.mark.alone
def test_a_job_succeeds_with_the_applied_manifests(
    installed: Installed, cluster: Cluster, tmp_path: Path
) -> None:
    file = manifests(cluster, tmp_path / "operator.yaml")
    system = f"--namespace={cluster.namespace}-system"
    with operator_away(cluster):
        kubectl("apply", "--server-side", f"--filename={file}")
        try:
            cluster.apply(script_job("fails", "exit_3.py"))
            status = wait_for_end(cluster, "fails", 300)
            kubectl("rollout", "status", f"deployment/{NAME}", system, "--timeout=300s")
            cluster.delete_all()
            wait_for("its jobs are gone", lambda: not cluster.jobs(), 120)
        finally:
            kubectl("delete", f"--filename={file}", "--wait=false")
    assert status["failure"]["reason"] == "NonZeroExitCode"
    run = installed.mlflow.get_run(status["mlflow"]["runId"])
    assert run.info.status == "FAILED"
