"""500 jobs at once, of which some fail, are evicted or are deleted, beside plain batch/v1 Jobs.

The Job controller makes the next pod of a plain Job that was evicted after a back-off of 10 s: the
plain Jobs are mostly waiting for that in the end, and their rate says little.

Both run on the same control plane with fake nodes, one after the other in the same minutes.
Figures are printed, not judged: a shared machine is no judge. That all ends are right is judged.
"""

import os
import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import psutil
import pytest

from tests.bench.mixed_jobs import (
    FAILS,
    IS_DELETED,
    IS_EVICTED,
    SUCCEEDS,
    Ends,
    Mix,
    behind,
    fate,
    plain_job,
    plain_mix,
    spread,
    training_job,
    training_mix,
)
from tests.bench.report import report
from tests.support.api import Cluster, Runs, operator_writes, recorded_ends
from tests.support.fixtures import Kwok
from tests.support.processes import MlflowServer, OperatorProcess
from tests.support.waiting import wait_for

COUNT = int(os.environ.get("BENCH_JOBS", "500"))
NAMES = [f"job-{number}" for number in range(COUNT)]
DELETED = [name for name in NAMES if fate(name) == IS_DELETED]
STATES = {SUCCEEDS: "Succeeded", IS_EVICTED: "Succeeded", FAILS: "Failed"}
RUNS = {SUCCEEDS: "FINISHED", IS_EVICTED: "FINISHED", FAILS: "FAILED", IS_DELETED: "KILLED"}


def create(make: Callable[[str], object]) -> None:
    """All of them, as quickly as the API server takes them from four clients."""
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(make, NAMES))


def over(ends: Ends) -> bool:
    return len(ends.terminal) == COUNT - len(DELETED) and len(ends.gone) == len(DELETED)


def create_plain(cluster: Cluster, name: str) -> None:
    cluster.batch.create_namespaced_job(cluster.namespace, plain_job(name, fate(name)))


def run_plain(cluster: Cluster, mix: Mix) -> tuple[float, float, Ends]:
    """Seconds until all plain Jobs have ended, and all but the evicted ones; when each did."""
    started = time.monotonic()
    with mix.followed() as ends:
        create(lambda name: create_plain(cluster, name))
        wait_for("plain Jobs end", lambda: over(ends), 600)
    others = [ended for name, ended in ends.terminal.items() if fate(name) != IS_EVICTED]
    return time.monotonic() - started, max(others) - started, ends


def run_training(
    cluster: Cluster, mix: Mix, mlflow: MlflowServer
) -> tuple[float, Ends, dict[str, float]]:
    """Seconds until all TrainingJobs and their runs have ended, and when each did."""
    started = time.monotonic()
    with mix.followed() as ends, recorded_ends(mlflow.database, cluster.namespace) as runs:
        create(lambda name: cluster.apply(training_job(name, fate(name))))
        wait_for("TrainingJobs and runs end", lambda: over(ends) and len(runs) == COUNT, 600)
    return time.monotonic() - started, ends, runs


@pytest.mark.timeout(1500)
def test_500_jobs_of_all_fates_beside_plain_jobs(
    kwok: Kwok, cluster: Cluster, runs: Runs, mlflow: MlflowServer, operator: OperatorProcess
) -> None:
    plain_seconds, without_evicted, plain = run_plain(cluster, plain_mix(cluster))
    process = psutil.Process(operator.pid)
    before = process.cpu_times()
    audit = kwok.audit_log
    offset = audit.stat().st_size
    seconds, ends, recorded = run_training(cluster, training_mix(cluster), mlflow)
    after = process.cpu_times()

    assert {name: cluster.state(name) for name in ends.terminal} == {
        name: STATES[fate(name)] for name in NAMES if fate(name) != IS_DELETED
    }
    by_job = {name: [one.info.status for one in found] for name, found in runs.by_job().items()}
    assert by_job == {name: [RUNS[fate(name)]] for name in NAMES}

    counts = Counter(map(fate, NAMES))
    report(
        "throughput",
        f"{COUNT} jobs at once ({', '.join(f'{counts[what]} {what}' for what in counts)})",
        ("all ended", "jobs/s"),
        ("plain batch/v1 Jobs", f"{plain_seconds:.1f} s", f"{COUNT / plain_seconds:.1f}"),
        ("… all but those that wait after an eviction", f"{without_evicted:.1f} s", ""),
        ("TrainingJobs with their runs", f"{seconds:.1f} s", f"{COUNT / seconds:.1f}"),
        ("ratio", "", f"{plain_seconds / seconds:.2f}"),
    )
    ended = ends.terminal
    report(
        "latency",
        "Seconds",
        ("median", "p99", "most"),
        ("plain: last pod's end → Job ended", *spread(behind(plain.last_pods, plain.terminal))),
        ("last pod's end → TrainingJob ended", *spread(behind(ends.last_pods, ended))),
        ("TrainingJob ended → run ended in MLflow", *spread(behind(ended, recorded))),
        ("deleted: last pod's end → TrainingJob gone", *spread(behind(ends.last_pods, ends.gone))),
    )
    writes = operator_writes(audit, cluster.namespace, offset)
    cpu = after.user + after.system - before.user - before.system
    report(
        "operator",
        f"The operator over {COUNT} jobs",
        ("",),
        ("CPU time for each job", f"{1e3 * cpu / COUNT:.1f} ms"),
        ("API writes for each job", f"{len(writes) / COUNT:.1f}"),
        ("resident memory", f"{process.memory_info().rss / 2**20:.0f} MiB"),
    )
    print(operator.calls())
