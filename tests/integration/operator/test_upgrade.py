"""TrainingJobs that an earlier release stored: today's definition and operator go on with them.

upgrade/crd.yaml is the definition as of commit e0cfb12 (30 November 2026), before runtimes and
`agent: Inject`; upgrade/stored.json has the statuses, Jobs and tags of runs as the core of that
commit plans them. Words in capitals stand for what is another one in each test.
"""

import json
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from tests.support.api import Cluster, Runs, manifest
from tests.support.fixtures import Kwok
from tests.support.pods import end_pods, live_pods, wait_for_attempt
from tests.support.processes import MlflowServer, OperatorProcess
from tests.support.waiting import wait_for

UPGRADE = Path(__file__).parent / "upgrade"
STATES = {
    "running": "Running",
    "two-nodes": "Running",
    "restarting": "Restarting",
    "suspended": "Suspended",
    "queued": "Queued",
    "succeeded": "Succeeded",
    "failed": "Failed",
}


@dataclass
class Stored:
    """What the test has put where the earlier release left it: specs and ids of runs by job."""

    specs: dict[str, Any]
    run_ids: dict[str, str]


@pytest.fixture
def stored(kwok: Kwok, cluster: Cluster, mlflow: MlflowServer) -> Stored:
    """Objects of the earlier release under its definition, which is replaced by today's."""
    old = str(UPGRADE / "crd.yaml")
    try:
        kwok.kubectl("apply", "--server-side", "--force-conflicts", f"--filename={old}")
        wait_for("the old definition is served", partial(has_defaults, kwok), 60)
        found = put(cluster, mlflow)
        for name in ("running", "two-nodes"):
            wait_for(f"the pods of {name} run", partial(started, cluster, name), 60)
    finally:
        wait_for("today's definition is served", kwok.define, 60)
    wait_for("it has no defaults", lambda: not has_defaults(kwok), 60)
    assert cluster.states() == STATES
    return found


def has_defaults(kwok: Kwok) -> bool:
    """Whether the API server completes a TrainingJob, as by the definition of then."""
    text = json.dumps(manifest("probe") | {"spec": {"image": "fake:1"}})
    answer = kwok.call("create", "--dry-run=server", "--output=json", "--filename=-", stdin=text)
    return '"numNodes"' in answer.stdout


def put(cluster: Cluster, mlflow: MlflowServer) -> Stored:
    """Store the jobs with their statuses, Jobs and runs."""
    client, found = mlflow.client, Stored({}, {})
    experiment = client.create_experiment(cluster.namespace)
    for_all = {
        "NAMESPACE": cluster.namespace,
        "TRACKING-URI": mlflow.uri,
        "EXPERIMENT": experiment,
        "CLUSTER": cluster.core.read_namespace("kube-system").metadata.uid,
    }
    text = (UPGRADE / "stored.json").read_text()
    for word, value in for_all.items():
        text = text.replace(word, value)
    for job in json.loads(text)["jobs"]:
        name = job["metadata"]["name"]
        cluster.apply({field: value for field, value in job.items() if field != "status"})
        created = cluster.get(name)
        assert created is not None
        text = text.replace(f"UID-{name}", created["metadata"]["uid"])
        began = datetime.fromisoformat(created["metadata"]["creationTimestamp"])
        tags = json.loads(text)["runs"][name]
        run_id = client.create_run(experiment, int(began.timestamp() * 1000), tags).info.run_id
        text = text.replace(f"RUN-{name}", run_id)
        found.specs[name], found.run_ids[name] = created["spec"], run_id
    objects = json.loads(text)
    for job in objects["jobs"]:
        cluster.patch_status(job["metadata"]["name"], **job["status"])
    for child in objects["children"]:
        cluster.batch.create_namespaced_job(cluster.namespace, child)
    return found


def started(cluster: Cluster, name: str) -> bool:
    pods = live_pods(cluster, name)
    return len(pods) > 0 and all(pod.status.phase == "Running" for pod in pods)


def uids(cluster: Cluster, name: str) -> set[str]:
    return {pod.metadata.uid for pod in live_pods(cluster, name)}


def touch(cluster: Cluster, name: str, **spec: Any) -> None:
    """Change a job; the API server checks all of it."""
    cluster.objects.patch_namespaced_custom_object(
        *("trainingjob.dev", "v1alpha1", cluster.namespace, "trainingjobs", name),
        {"metadata": {"annotations": {"example.com/touched": "yes"}}, "spec": spec},
    )


def test_stored_jobs_are_valid_and_go_on(
    cluster: Cluster, runs: Runs, stored: Stored, operator: OperatorProcess
) -> None:
    assert {job["metadata"]["name"]: job["spec"] for job in cluster.jobs()} == stored.specs
    ended = {name: cluster.status(name) for name in ("succeeded", "failed")}
    pods = {name: uids(cluster, name) for name in ("running", "two-nodes")}
    for name in STATES:
        touch(cluster, name)

    wait_for_attempt(cluster, "restarting", 2)
    touch(cluster, "suspended", suspend=False)
    wait_for_attempt(cluster, "suspended", 1)
    assert cluster.state("queued") == "Queued"
    cluster.batch.patch_namespaced_job("queued-1", cluster.namespace, {"spec": {"suspend": False}})
    wait_for_attempt(cluster, "queued", 1)
    for name in ("running", "two-nodes"):
        wait_for_attempt(cluster, name, 1)
        assert uids(cluster, name) == pods[name]
    # The next attempt of a stored job is one of today's.
    end_pods(cluster, "running", 3)
    wait_for_attempt(cluster, "running", 2)
    for name in ("running", "two-nodes", "restarting", "suspended", "queued"):
        end_pods(cluster, name, 0)
    expected = {name: "Failed" if name == "failed" else "Succeeded" for name in STATES}
    wait_for("all have ended", lambda: cluster.states() == expected, 60)

    for name, status in ended.items():
        after = cluster.status(name)
        assert (after["attempts"], after["completionTime"]) == (
            status["attempts"],
            status["completionTime"],
        )

    def finished() -> bool:
        found = {
            name: [(one.info.run_id, one.info.status) for one in of]
            for name, of in runs.by_job().items()
        }
        return found == {
            name: [(run_id, "FAILED" if name == "failed" else "FINISHED")]
            for name, run_id in stored.run_ids.items()
        }

    wait_for("each job has one run, which has its state", finished, 60)
