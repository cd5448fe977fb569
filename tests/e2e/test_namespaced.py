"""A second release on a real node, for one namespace and with Roles only, beside the first."""

import subprocess
from collections.abc import Iterator

import pytest

from demo.cluster import SYSTEM_NAMESPACE
from tests.support.api import Cluster
from tests.support.node import Installed, script_job, wait_for_end
from tests.support.releases import NAME, a_release
from tests.support.training import kubectl
from tests.support.waiting import wait_for

DEPLOYMENT = f"deployment/{NAME}"


@pytest.fixture
def system(cluster: Cluster) -> Iterator[str]:
    """The namespace of a release that serves the test's namespace."""
    with a_release(cluster) as release:
        yield release.namespace


def test_the_release_of_a_namespace_serves_it(
    installed: Installed, cluster: Cluster, system: str
) -> None:
    account = f"system:serviceaccount:{system}:{NAME}"
    asked = ("auth", "can-i", "list", "pods", f"--as={account}")
    assert kubectl(*asked, f"--namespace={cluster.namespace}").strip() == "yes"
    refused = subprocess.run(
        ["kubectl", *asked, f"--namespace={SYSTEM_NAMESPACE}"],
        check=False,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert refused.stdout.strip() == "no"

    cluster.apply(script_job("fails", "exit_3.py"))
    status = wait_for_end(cluster, "fails", 240)
    assert status["failure"]["reason"] == "NonZeroExitCode"
    run = installed.mlflow.get_run(status["mlflow"]["runId"])
    uid = cluster.core.read_namespace(system).metadata.uid
    assert (run.info.status, run.data.tags["trainingjob.cluster"]) == ("FAILED", uid)

    lease = kubectl(
        *("get", "lease", "trainingjobs.trainingjob.dev", f"--namespace={cluster.namespace}"),
        "--output=jsonpath={.spec.holderIdentity}",
    )
    assert lease == f"{system}/{NAME}"
    reported = f"namespace {cluster.namespace} is served by another installation"
    assert reported not in kubectl("logs", DEPLOYMENT, f"--namespace={system}")
    wait_for(
        "the operator of the cluster leaves it alone",
        lambda: (
            reported
            in kubectl(
                *("logs", "deployment/trainingjob-operator", f"--namespace={SYSTEM_NAMESPACE}"),
                "--tail=-1",
            )
        ),
        60,
    )
