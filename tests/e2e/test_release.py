"""Upgrade, fail-over, removal and return of a release on a real node, under jobs that run."""

from collections.abc import Iterator

import pytest

from tests.support.api import Cluster
from tests.support.node import Installed, pods, wait_for_end, wait_for_run
from tests.support.releases import Release, a_release, end, start
from tests.support.training import kubectl
from tests.support.waiting import wait_for

UNFINALIZED = '{"metadata":{"finalizers":null}}'


@pytest.fixture
def team(cluster: Cluster) -> Iterator[Release]:
    """A release for the namespace of the test."""
    with a_release(cluster) as release:
        yield release


def assert_succeeded(installed: Installed, cluster: Cluster, name: str) -> None:
    """The job ended well in its first attempt, and its run says so."""
    status = wait_for_end(cluster, name, 180)
    assert (status["state"], status["attempt"]) == ("Succeeded", 1), status
    run = installed.mlflow.get_run(status["mlflow"]["runId"])
    assert run.info.status == "FINISHED"


def deleted_jobs(cluster: Cluster, name: str) -> list[list[str]]:
    """The finalizers of each Job of a TrainingJob that is deleted and still there."""
    found = cluster.batch_jobs(name)
    return [one.metadata.finalizers for one in found if one.metadata.deletion_timestamp]


def test_an_upgrade_leaves_running_jobs_alone(
    installed: Installed, cluster: Cluster, team: Release
) -> None:
    pod = start(cluster, "runs")
    before = team.leader
    team.upgrade(podAnnotations__upgrade="second", operator__logLevel="DEBUG")
    wait_for("the new operator leads", lambda: team.leader not in ("", before), 60)
    assert [one.metadata.uid for one in pods(cluster, "runs")] == [pod]
    end(cluster, "runs")
    assert_succeeded(installed, cluster, "runs")


def test_the_standby_takes_over_when_the_leader_is_killed(
    installed: Installed, cluster: Cluster, team: Release
) -> None:
    team.upgrade(replicas="2", operator__leaseSeconds="5")
    pod = start(cluster, "runs")
    leader = team.leader
    place = f"--namespace={team.namespace}"
    kubectl("delete", "pod", leader, place, "--grace-period=0", "--force")
    end(cluster, "runs")
    assert_succeeded(installed, cluster, "runs")
    assert team.leader != leader
    assert [one.metadata.uid for one in pods(cluster, "runs")] == [pod]


def test_what_stays_without_the_operator_and_how_it_goes_on_or_goes(
    installed: Installed, cluster: Cluster, team: Release
) -> None:
    """As docs/install.md says of an uninstallation that jobs were left for."""
    # Until the namespace's Lease is over, the operator of all namespaces leaves it alone.
    team.upgrade(operator__leaseSeconds="60")
    for name in ("goes-on", "goes"):
        start(cluster, name)
    run = wait_for_run(cluster, "goes-on")
    team.uninstall()

    end(cluster, "goes-on")
    assert cluster.state("goes-on") == "Running", "nobody is there to say more"
    assert installed.mlflow.get_run(run).info.status == "RUNNING"

    cluster.delete("goes")
    wait_for("its Job is to go", lambda: deleted_jobs(cluster, "goes"), 60)
    assert deleted_jobs(cluster, "goes") == [["trainingjob.dev/attempt"]]
    assert [one.status.phase for one in pods(cluster, "goes")] == ["Running"]
    place = f"--namespace={cluster.namespace}"
    kubectl("patch", "job", "goes-1", place, "--type=merge", f"--patch={UNFINALIZED}")
    wait_for("its Job is gone", lambda: not cluster.batch_jobs("goes"), 60)
    wait_for("its pods are gone", lambda: not pods(cluster, "goes"), 120)

    team.upgrade(operator__leaseSeconds="60")
    assert_succeeded(installed, cluster, "goes-on")
