"""Two replicas: one acts; when it dies the other takes over within the lease's time."""

import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.api import Cluster, Runs, manifest
from tests.support.fixtures import Kwok
from tests.support.processes import HASTY, MlflowServer, OperatorProcess
from tests.support.waiting import wait_for


@pytest.fixture
def lease_seconds() -> int:
    return 10


@pytest.fixture
def replicas(
    kwok: Kwok, cluster: Cluster, mlflow: MlflowServer, lease_seconds: int, tmp_path: Path
) -> Iterator[list[OperatorProcess]]:
    settings = {**HASTY, "LEASE_SECONDS": str(lease_seconds)}
    pair = [
        OperatorProcess(tmp_path, kwok.operator_login, mlflow.uri, name, settings) for name in "ab"
    ]
    for one in pair:
        one.start()
    yield pair
    cluster.delete_all()
    for one in pair:
        one.end()


def leaders(replicas: list[OperatorProcess]) -> list[OperatorProcess]:
    return [one for one in replicas if one.metric("trainingjob_operator_leader") == 1]


def test_the_standby_takes_over(
    cluster: Cluster, runs: Runs, replicas: list[OperatorProcess], lease_seconds: int
) -> None:
    [leader] = wait_for("one leads", lambda: leaders(replicas), 30)
    [standby] = [one for one in replicas if one is not leader]
    cluster.apply(manifest("first", annotations={"kwok.trainingjob.dev/run-seconds": "2"}))
    wait_for("it ended", lambda: cluster.state("first") == "Succeeded", 60)
    assert leader.metric("trainingjob_operator_reconcile_total") > 0
    assert standby.metric("trainingjob_operator_reconcile_total") == 0

    leader.end(signal.SIGKILL)
    killed = time.monotonic()
    wait_for("the standby leads", lambda: leaders([standby]), 2 * lease_seconds)
    print(f"took over after {time.monotonic() - killed:.1f} s, lease {lease_seconds} s")
    cluster.apply(manifest("second", annotations={"kwok.trainingjob.dev/run-seconds": "2"}))
    wait_for("it ended", lambda: cluster.state("second") == "Succeeded", 60)
    assert [run.info.status for run in runs.all()] == ["FINISHED", "FINISHED"]


@pytest.mark.parametrize("lease_seconds", [300])
def test_a_graceful_end_hands_over_at_once(replicas: list[OperatorProcess]) -> None:
    [leader] = wait_for("one leads", lambda: leaders(replicas), 30)
    [standby] = [one for one in replicas if one is not leader]
    leader.end(signal.SIGTERM)
    wait_for("the standby leads", lambda: leaders([standby]), 50)
