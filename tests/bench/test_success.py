"""Jobs that all succeed, as batch/v1 Jobs and as TrainingJobs, and what each component spends.

Both run on the same control plane with fake nodes, one after the other in the same minutes, the
plain ones first. Figures are printed, not judged; that all ends are right is judged.
"""

import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import pytest

from tests.bench.components import Components
from tests.bench.mixed_jobs import (
    SUCCEEDS,
    Ends,
    Mix,
    behind,
    plain_job,
    plain_mix,
    spread,
    success,
    training_job,
    training_mix,
)
from tests.bench.report import report
from tests.support.api import Cluster, Runs, operator_writes
from tests.support.fixtures import Kwok
from tests.support.processes import MlflowServer, OperatorProcess
from tests.support.waiting import wait_for


@dataclass(frozen=True)
class Course:
    """How so many jobs went: seconds in all, their ends, and the CPU seconds of each component."""

    seconds: float
    ends: Ends
    cpu: dict[str, float]


def course(
    mix: Mix,
    components: Components,
    names: list[str],
    create: Callable[[str], object],
    reported: Callable[[], bool],
) -> Course:
    """Create jobs from four clients and wait for the end of all, and until MLflow has it, too."""
    before, started = components.seconds(), time.monotonic()
    with mix.followed() as ends:
        with ThreadPoolExecutor(4) as pool:
            list(pool.map(create, names))
        wait_for("they have ended", lambda: len(ends.terminal) == len(names), 600)
        seconds = time.monotonic() - started
        wait_for("MLflow has all of it", reported, 60)
    after = components.seconds()
    return Course(seconds, ends, {name: after[name] - before[name] for name in after})


@pytest.mark.parametrize(("count", "nodes"), [(300, 1), (50, 4)])
@pytest.mark.timeout(1500)
def test_jobs_that_all_succeed(
    kwok: Kwok,
    cluster: Cluster,
    runs: Runs,
    mlflow: MlflowServer,
    operator: OperatorProcess,
    count: int,
    nodes: int,
) -> None:
    components = Components.of(kwok, mlflow, operator)
    names = [f"job-{number}" for number in range(count)]
    plain = course(
        plain_mix(cluster, success),
        components,
        names,
        lambda name: cluster.batch.create_namespaced_job(
            cluster.namespace, plain_job(name, SUCCEEDS, nodes)
        ),
        lambda: True,
    )
    cluster.batch.delete_collection_namespaced_job(
        cluster.namespace, propagation_policy="Background"
    )
    wait_for("the plain ones are gone", lambda: not pods_left(cluster), 120)
    offset = kwok.audit_log.stat().st_size
    training = course(
        training_mix(cluster, success),
        components,
        names,
        lambda name: cluster.apply(training_job(name, SUCCEEDS, nodes)),
        lambda: not held(cluster),
    )
    assert set(cluster.states().values()) == {"Succeeded"}
    statuses = Counter(run.info.status for found in runs.by_job().values() for run in found)
    assert statuses == {"FINISHED": count}
    writes = len(operator_writes(kwok.audit_log, cluster.namespace, offset))
    title = f"{count} jobs of {nodes} {'pod' if nodes == 1 else 'pods'} at once, all succeed"
    columns = ("plain batch/v1 Jobs", "TrainingJobs", "ratio")
    rows = side_by_side(count, plain, training, writes / count)
    if nodes == 1:
        report("success-one-pod", title, columns, *rows)
    else:
        report("success-four-pods", title, columns, *rows)
    print(operator.calls())


def held(cluster: Cluster) -> bool:
    """Whether a Job has a finalizer left."""
    jobs = cluster.batch.list_namespaced_job(cluster.namespace).items
    return any(job.metadata.finalizers for job in jobs)


def pods_left(cluster: Cluster) -> int:
    return len(cluster.core.list_namespaced_pod(cluster.namespace, limit=1).items)


def side_by_side(
    count: int, plain: Course, training: Course, writes: float
) -> list[tuple[str, str, str, str]]:
    """The rows of both courses: times, and what each component spent."""
    both = (plain, training)
    rates = [f"{count / one.seconds:.1f}" for one in both]
    lags = [spread(behind(one.ends.last_pods, one.ends.terminal)) for one in both]
    rows = [
        ("all ended", f"{plain.seconds:.1f} s", f"{training.seconds:.1f} s", ""),
        ("jobs/s", rates[0], rates[1], f"{plain.seconds / training.seconds:.2f}"),
        ("last pod's end → job ended, median", lags[0][0], lags[1][0], ""),
        ("last pod's end → job ended, p99", lags[0][1], lags[1][1], ""),
    ]
    for name in plain.cpu:
        spent = [f"{1e3 * one.cpu[name] / count:.1f} ms" for one in both]
        rows.append((f"CPU time for each job: {name}", spent[0], spent[1], ""))
    return [*rows, ("API writes of the operator for each job", "", f"{writes:.1f}", "")]
