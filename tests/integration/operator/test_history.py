"""Jobs and pods of old attempts go while the job goes on; the status keeps how they ended."""

from tests.support.api import Cluster, Runs, manifest
from tests.support.pods import FOREVER, end_pods, wait_for_attempt
from tests.support.processes import OperatorProcess
from tests.support.waiting import wait_for


def children(cluster: Cluster) -> tuple[list[str], set[str]]:
    """The names of the Jobs, and the attempts of all pods."""
    jobs = cluster.batch.list_namespaced_job(cluster.namespace).items
    pods = cluster.core.list_namespaced_pod(cluster.namespace).items
    return (
        sorted(job.metadata.name for job in jobs),
        {pod.metadata.labels["trainingjob.dev/attempt"] for pod in pods},
    )


def test_one_attempt_before_the_current_one_is_kept(
    cluster: Cluster, runs: Runs, operator: OperatorProcess
) -> None:
    job = manifest("again", annotations=FOREVER)
    job["spec"] |= {"attemptHistoryLimit": 1}
    cluster.apply(job)
    for attempt in (1, 2, 3):
        wait_for_attempt(cluster, "again", attempt)
        # A disruption, after which the next attempt follows at once.
        end_pods(cluster, "again", 143, disruption="EvictionByEvictionAPI")
    wait_for_attempt(cluster, "again", 4)
    left = (["again-3", "again-4"], {"3", "4"})
    wait_for("the older ones are gone", lambda: children(cluster) == left, 60)

    end_pods(cluster, "again", 0)
    wait_for("it ended", lambda: cluster.state("again") == "Succeeded", 60)
    assert children(cluster) == left
    reported = [(one["attempt"], one["reason"]) for one in cluster.status("again")["attempts"][:-1]]
    assert reported == [(number, "Evicted") for number in (1, 2, 3)]
