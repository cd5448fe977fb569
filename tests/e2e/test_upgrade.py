"""An upgrade from the chart and the operator of an earlier commit, under a job that runs."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from demo import cluster as installation
from tests.support import earlier
from tests.support.api import Cluster
from tests.support.images import make_from
from tests.support.node import Installed, operator_away, pods, script_job, wait_for_end
from tests.support.releases import CHART, MLFLOW, RESTRICTED, end, helm, start
from tests.support.training import kubectl
from tests.support.waiting import wait_for

IMAGE = "docker.io/trainingjob/operator:earlier"
# The code of then among the dependencies of today: an image of then would take minutes to build.
DOCKERFILE = f"""\
FROM docker.io/trainingjob/operator:dev
USER 0
RUN rm -r /opt/operator/trainingjob_operator
COPY {earlier.OPERATOR} /opt/operator/trainingjob_operator
USER 65532:65532
"""


class UpgradedRelease:
    """A release for all namespaces, first of the earlier chart, then of today's."""

    def __init__(self, namespace: str) -> None:
        self.namespace = namespace

    def upgrade(self, chart: Path, tag: str) -> None:
        """Install or upgrade it, and wait until it is ready."""
        values = f"image.tag={tag},mlflow.trackingUri={MLFLOW},operator.leaseSeconds=5"
        # The definitions are those of the release that all other tests use.
        own = ("--take-ownership", "--force-conflicts")
        helm(self.namespace, "upgrade", "--install", "all", str(chart), f"--set={values}", *own)


@pytest.fixture
def release(installed: Installed, cluster: Cluster) -> Iterator[UpgradedRelease]:
    """A namespace for it, while no other operator is there; afterwards all is as before."""
    made = UpgradedRelease(f"{cluster.namespace}-system")
    with operator_away(cluster):
        cluster.core.create_namespace({"metadata": {"name": made.namespace, "labels": RESTRICTED}})
        yield made
        cluster.delete_all()
        wait_for("its jobs are gone", lambda: not cluster.jobs(), 120)
        helm(made.namespace, "uninstall", "all", "--ignore-not-found")
        cluster.core.delete_namespace(made.namespace)
    installation.install(installed.tracking_uri)


def fields_of_a_spec() -> set[str]:
    """The fields of `spec` by the definition that the API server has."""
    found = json.loads(kubectl("get", "crd", "trainingjobs.trainingjob.dev", "--output=json"))
    [version] = found["spec"]["versions"]
    return set(version["schema"]["openAPIV3Schema"]["properties"]["spec"]["properties"])


@pytest.mark.alone
def test_a_job_of_an_earlier_release_goes_on_through_the_upgrade(
    installed: Installed, cluster: Cluster, release: UpgradedRelease, tmp_path: Path
) -> None:
    earlier.extract(tmp_path)
    (tmp_path / "Dockerfile").write_text(DOCKERFILE)
    make_from(tmp_path, IMAGE)
    release.upgrade(tmp_path / earlier.CHART, "earlier")
    assert "agent" not in fields_of_a_spec()
    cluster.apply(script_job("failed", "exit_3.py"))
    ended = wait_for_end(cluster, "failed", 180)
    pod = start(cluster, "runs")

    release.upgrade(CHART, "dev")
    assert "agent" in fields_of_a_spec()
    assert [one.metadata.uid for one in pods(cluster, "runs")] == [pod]
    end(cluster, "runs")
    status = wait_for_end(cluster, "runs", 180)
    assert (status["state"], status["attempt"]) == ("Succeeded", 1), status

    after = cluster.status("failed")
    assert (after["state"], after["completionTime"]) == ("Failed", ended["completionTime"])
    runs = [installed.mlflow.get_run(one["mlflow"]["runId"]) for one in (status, ended)]
    assert [one.info.status for one in runs] == ["FINISHED", "FAILED"]
    experiments = list({one.info.experiment_id for one in runs})
    assert len(installed.mlflow.search_runs(experiments)) == len(runs)
