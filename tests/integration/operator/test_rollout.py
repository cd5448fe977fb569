"""`kubectl rollout restart` of the operator: replicas are replaced one after the other."""

from collections import Counter
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import pytest

from tests.support.api import Cluster, Runs, operator_writes
from tests.support.fixtures import Kwok
from tests.support.many import EXPECTED_RUN, at_least_ended, many
from tests.support.processes import MlflowServer, OperatorProcess
from tests.support.waiting import wait_for

JOBS = 200
NewReplica = Callable[[str], OperatorProcess]


@pytest.fixture
def new_replica(
    kwok: Kwok, cluster: Cluster, mlflow: MlflowServer, tmp_path: Path
) -> Iterator[NewReplica]:
    started: list[OperatorProcess] = []

    def start(name: str) -> OperatorProcess:
        replica = OperatorProcess(tmp_path, kwok.operator_login, mlflow.uri, name)
        replica.start()
        started.append(replica)
        return replica

    yield start
    cluster.delete_all()
    for one in started:
        one.end()


def test_a_rollout_in_the_middle_of_200_jobs_loses_and_repeats_nothing(
    kwok: Kwok, cluster: Cluster, runs: Runs, new_replica: NewReplica
) -> None:
    replica = new_replica("old-a")
    cluster.apply(*many(JOBS))
    for name, done in (("new-a", 40), ("new-b", 110)):
        wait_for(f"{done} jobs ended", partial(at_least_ended, cluster, done), 300)
        # The new one is ready before the old one is asked to go, as a Deployment does it.
        successor = new_replica(name)
        replica.end()
        replica = successor
    wait_for("all jobs ended", partial(at_least_ended, cluster, JOBS), 300)

    states = cluster.states()
    assert Counter(states.values()) == {"Succeeded": JOBS * 9 // 10, "Failed": JOBS // 10}

    def reported() -> bool:
        found = {
            name: [run.info.status for run in of_job] for name, of_job in runs.by_job().items()
        }
        return found == {name: [EXPECTED_RUN[state or ""]] for name, state in states.items()}

    wait_for("each job has one run, which says the same", reported, 60)
    audit = kwok.audit_log
    print("writes:", dict(Counter(operator_writes(audit, cluster.namespace))))
    # A new leader whose watch is a moment behind asks for a Job that is there, and is refused.
    writes = Counter(operator_writes(audit, cluster.namespace, accepted=True))
    assert writes["create jobs"] == JOBS
    assert {one["status"]["attempt"] for one in cluster.jobs()} == {1}
