"""Jobs of all policies side by side on the real control plane, and what each run's history was."""

from collections.abc import Iterator
from functools import partial
from typing import Any

import pytest

from tests.support.api import TERMINAL_RUNS, Cluster, Runs, manifest
from tests.support.histories import run_histories
from tests.support.pods import FOREVER, STARTS_SLOWLY, end_pods, live_pods, wait_for_attempt
from tests.support.processes import MlflowServer, OperatorProcess
from tests.support.waiting import wait_for

TEMPLATE = {
    "accessModes": ["ReadWriteOnce"],
    "storageClassName": "",
    "resources": {"requests": {"storage": "1Gi"}},
}
MOST = {"resourcesPerNode": {"limits": {"nvidia.com/gpu": 1000}}}
JOBS: dict[str, dict[str, Any]] = {
    "late": {},
    "nowhere": {"preRunningDeadlineSeconds": 5, **MOST},
    "raises": {"backoffLimit": 3},
    "crashes": {"backoffLimit": 1},
    "pauses": {"numNodes": 2},
    "queues": {"queueName": "gpus"},
    "short": {"ttlSecondsAfterFinished": 1},
    "deleted": {},
    "resumes": {"checkpoint": {"path": "/checkpoints", "claimTemplate": TEMPLATE}},
    "keeps": {
        "backoffLimit": 1,
        "checkpoint": {"path": "/ckpt", "claimTemplate": TEMPLATE, "claimRetention": "Keep"},
    },
}
EXPECTED = {
    "late": ["SCHEDULED", "RUNNING", "FAILED"],
    "nowhere": ["SCHEDULED", "FAILED"],
    "raises": ["SCHEDULED", "RUNNING", "FAILED"],
    "crashes": [*["SCHEDULED", "RUNNING"] * 2, "FAILED"],
    "pauses": [*["SCHEDULED", "RUNNING"] * 2, "FINISHED"],
    "queues": [*["SCHEDULED", "RUNNING"] * 2, "FINISHED"],
    "short": ["SCHEDULED", "RUNNING", "FINISHED"],
    "deleted": ["SCHEDULED", "RUNNING", "KILLED"],
    "resumes": [*["SCHEDULED", "RUNNING"] * 2, "FINISHED"],
    "keeps": [*["SCHEDULED", "RUNNING"] * 2, "FINISHED"],
}
# The attempts that run after the first ones have ended; a queue admits the same one again.
SECOND = {"crashes": 2, "keeps": 2, "resumes": 2, "pauses": 2, "queues": 1}
REASONS = {
    "late": "DeadlineExceeded",
    "nowhere": "Unschedulable",
    "raises": "NonZeroExitCode",
    "crashes": "BackoffLimitExceeded",
}


@pytest.fixture
def volumes(cluster: Cluster) -> Iterator[list[str]]:
    """Two volumes for the claims; nothing on this cluster makes any."""
    names = [f"{cluster.namespace}-{number}" for number in range(2)]
    for name in names:
        spec = {
            "capacity": {"storage": "1Gi"},
            "accessModes": ["ReadWriteOnce"],
            "persistentVolumeReclaimPolicy": "Retain",
            "hostPath": {"path": f"/nowhere/{name}"},
        }
        cluster.core.create_persistent_volume({"metadata": {"name": name}, "spec": spec})
    yield names
    for name in names:
        cluster.core.delete_persistent_volume(name)


def job(name: str) -> dict[str, Any]:
    made = manifest(name, annotations={**FOREVER, **STARTS_SLOWLY})
    made["spec"] |= JOBS[name]
    return made


def admit(cluster: Cluster, name: str, admitted: bool) -> None:
    """What Kueue does to the Job of a queue."""
    wait_for(f"{name} is queued or runs", lambda: cluster.state(name) in ("Queued", "Running"), 120)
    body = {"spec": {"suspend": not admitted}}
    wait_for("the Job is there", partial(child_exists, cluster, f"{name}-1"), 120)
    cluster.batch.patch_namespaced_job(f"{name}-1", cluster.namespace, body)


def child_exists(cluster: Cluster, name: str) -> bool:
    return name in {
        one.metadata.name for one in cluster.batch.list_namespaced_job(cluster.namespace).items
    }


def is_in(cluster: Cluster, name: str, state: str | None) -> bool:
    return cluster.state(name) == state


def wait_for_states(cluster: Cluster, **states: str | None) -> None:
    for name, state in states.items():
        wait_for(f"{name} is {state}", partial(is_in, cluster, name, state), 120)


def claims(cluster: Cluster) -> dict[str, Any]:
    """The claims of the namespace by the name of their job."""
    found = cluster.core.list_namespaced_persistent_volume_claim(cluster.namespace).items
    return {one.metadata.labels["trainingjob.dev/name"]: one for one in found}


def claims_of_pods(cluster: Cluster, name: str) -> set[str]:
    """Names of the claims that the pods of all attempts have."""
    selector = f"trainingjob.dev/name={name}"
    pods = cluster.core.list_namespaced_pod(cluster.namespace, label_selector=selector).items
    volumes = [volume for pod in pods for volume in pod.spec.volumes]
    return {
        one.persistent_volume_claim.claim_name for one in volumes if one.persistent_volume_claim
    }


def test_the_history_of_each_run_is_that_of_its_job(
    cluster: Cluster,
    runs: Runs,
    mlflow: MlflowServer,
    operator: OperatorProcess,
    volumes: list[str],
) -> None:
    with run_histories(mlflow, cluster.namespace) as histories:
        cluster.apply(*map(job, JOBS))
        admit(cluster, "queues", admitted=True)
        for name in JOBS.keys() - {"nowhere"}:
            wait_for_attempt(cluster, name, 1, 120)

        running = JOBS.keys() - {"nowhere"}
        wait_for("their runs say so", lambda: reported(histories, "RUNNING", *running), 120)

        # The first attempts end, each in its own way.
        end_pods(cluster, "raises", 1)
        end_pods(cluster, "crashes", 139)
        end_pods(cluster, "keeps", 139)
        end_pods(cluster, "resumes", 143, disruption="EvictionByEvictionAPI")
        end_pods(cluster, "short", 0)
        cluster.delete("deleted")
        cluster.change("pauses", suspend=True)
        cluster.change("late", activeDeadlineSeconds=1)
        admit(cluster, "queues", admitted=False)

        wait_for_states(cluster, pauses="Suspended", queues="Queued", deleted=None, short=None)
        assert [live_pods(cluster, name) for name in ("pauses", "queues")] == [[]] * 2
        wait_for("its pods have ended", lambda: not live_pods(cluster, "deleted"), 120)
        wait_for_states(cluster, raises="Failed", nowhere="Failed", late="Failed")
        wait_for("the runs wait", lambda: reported(histories, "SCHEDULED", "pauses", "queues"), 120)
        cluster.change("pauses", suspend=False)
        admit(cluster, "queues", admitted=True)

        # The second ones.
        for name, attempt in SECOND.items():
            wait_for_attempt(cluster, name, attempt, 120)
        wait_for("their runs say so", lambda: reported(histories, "RUNNING", *SECOND), 120)
        end_pods(cluster, "crashes", 139)
        for name in ("keeps", "resumes", "pauses", "queues"):
            end_pods(cluster, name, 0)
        ended = dict.fromkeys(("keeps", "resumes", "pauses", "queues"), "Succeeded")
        wait_for_states(cluster, crashes="Failed", **ended)
        ends = TERMINAL_RUNS
        wait_for("all runs ended", lambda: all(one[-1] in ends for one in histories.values()), 120)

    print(histories)
    assert histories == EXPECTED
    failures = {name: cluster.get(name) or {} for name in REASONS}
    assert {name: one["status"]["failure"]["reason"] for name, one in failures.items()} == REASONS
    assert_claims(cluster)


def reported(histories: dict[str, list[str]], status: str, *names: str) -> bool:
    """Whether a status is the last one that MLflow got of all these runs."""
    return all(histories.get(name, [])[-1:] == [status] for name in names)


def assert_claims(cluster: Cluster) -> None:
    """Each attempt had the same claim, which goes with the job unless it is to be kept."""
    made = claims(cluster)
    assert made.keys() == {"resumes", "keeps"}
    for name, claim in made.items():
        assert claims_of_pods(cluster, name) == {claim.metadata.name}
        assert claim.status.phase == "Bound"
    for name in ("resumes", "keeps"):
        cluster.delete(name)
    wait_for("the one is gone", lambda: claims(cluster).keys() == {"keeps"}, 120)
    assert made["keeps"].metadata.owner_references is None
