"""From the operator's start to ready with 1,000 jobs of ten pods each, and its memory then.

The objects are put there as the operator would have left them: each job runs. Nothing else plays:
no scheduler, kubelet or Job controller takes these pods and Jobs, which would only cost time.
"""

import json
import os
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import psutil
import pytest
import urllib3
from trainingjob_operator.api import TrainingJob
from trainingjob_operator.core import manifests
from trainingjob_operator.core.intent import RunIdentity
from trainingjob_operator.core.tracking_uris import Tracking

from tests.bench.report import report
from tests.support.api import GROUP, VERSION, Cluster
from tests.support.fixtures import Kwok
from tests.support.processes import MlflowServer, OperatorProcess
from tests.support.waiting import wait_for

JsonObject = dict[str, Any]
COUNT = int(os.environ.get("BENCH_RUNNING_JOBS", "1000"))
NODES = 10
NOBODY = "bench.trainingjob.dev/nobody"
STARTED = "2026-01-01T00:00:00Z"


class Api:
    """Creation of many objects; the client's models would cost more than the API server."""

    def __init__(self, cluster: Cluster) -> None:
        configuration = cluster.core.api_client.configuration
        self._host = configuration.host
        self._pool = urllib3.PoolManager(
            maxsize=8,
            ca_certs=configuration.ssl_ca_cert,
            cert_file=configuration.cert_file,
            key_file=configuration.key_file,
        )

    def send(self, method: str, path: str, body: JsonObject) -> JsonObject:
        """Send one object and return the answer."""
        kind = "application/json" if method == "POST" else "application/merge-patch+json"
        answer = self._pool.request(
            method, f"{self._host}{path}", body=json.dumps(body), headers={"Content-Type": kind}
        )
        assert answer.status < 300, answer.data
        found: JsonObject = answer.json()
        return found


def running(started: str = STARTED) -> JsonObject:
    """The status of a job whose first attempt runs."""
    attempt = {"attempt": 1, "startTime": started, "runningTime": started}
    return {
        "state": "Running",
        "attempt": 1,
        "attempts": [attempt],
        "startTime": started,
        "runningTime": started,
    }


def put_job(api: Api, namespace: str, number: int) -> None:
    """A TrainingJob with its status, its child Job and its pods."""
    base = f"/apis/{GROUP}/{VERSION}/namespaces/{namespace}/trainingjobs"
    made = {
        "apiVersion": f"{GROUP}/{VERSION}",
        "kind": "TrainingJob",
        "metadata": {"name": f"job-{number}"},
        "spec": {
            "image": "trainer:1",
            "args": ["run", "mnist", "--epochs", "5"],
            "numNodes": NODES,
            "resourcesPerNode": {"limits": {"memory": "8Gi", "nvidia.com/gpu": "8"}},
            "env": [{"name": f"OPTION_{one}", "value": "some value"} for one in range(10)],
        },
    }
    api.send("POST", base, made)
    answer = api.send("PATCH", f"{base}/job-{number}/status", {"status": running()})
    child = manifests.child_job(
        TrainingJob.model_validate(answer),
        1,
        RunIdentity("1", "f" * 32),
        Tracking("http://mlflow:5000"),
    )
    child["spec"]["managedBy"] = NOBODY
    stored = api.send("POST", f"/apis/batch/v1/namespaces/{namespace}/jobs", child)
    for rank in range(NODES):
        api.send("POST", f"/api/v1/namespaces/{namespace}/pods", pod(stored, rank))


def pod(child: JsonObject, rank: int) -> JsonObject:
    """A pod as the Job controller makes it from the Job's template."""
    name, template = child["metadata"]["name"], child["spec"]["template"]
    owner = {"apiVersion": "batch/v1", "kind": "Job", "name": name, "controller": True}
    return {
        "metadata": {
            "name": f"{name}-{rank}",
            "labels": template["metadata"]["labels"],
            "annotations": {"batch.kubernetes.io/job-completion-index": str(rank)},
            "ownerReferences": [{**owner, "uid": child["metadata"]["uid"]}],
        },
        "spec": {**template["spec"], "schedulerName": NOBODY},
    }


@pytest.mark.timeout(1800)
def test_cold_start_with_ten_thousand_pods(
    kwok: Kwok, cluster: Cluster, mlflow: MlflowServer, tmp_path: Path
) -> None:
    api = Api(cluster)
    with ThreadPoolExecutor(6) as pool:
        list(pool.map(lambda number: put_job(api, cluster.namespace, number), range(COUNT)))
    operator = OperatorProcess(tmp_path, kwok.operator_login, mlflow.uri, settings={})
    try:
        started = time.monotonic()
        operator.start()
        ready = time.monotonic() - started
        process = psutil.Process(operator.pid)
        cpu = process.cpu_times()
        at_ready = process.memory_info().rss
        wait_for("all runs are known", lambda: known_runs(cluster) == COUNT, 600, poll=2)
        report(
            "cold-start",
            f"The operator with {COUNT:,} jobs of {NODES} pods each",
            ("",),
            ("from its start to ready", f"{ready:.1f} s"),
            ("CPU time until then", f"{cpu.user + cpu.system:.1f} s"),
            ("resident memory when ready", f"{at_ready / 2**20:.0f} MiB"),
            (
                "resident memory, all runs created and reported",
                f"{process.memory_info().rss / 2**20:.0f} MiB",
            ),
            ("most resident memory ever", f"{most_memory(process.pid):.0f} MiB"),
        )
    finally:
        operator.end()
        tidy_up(cluster)


def known_runs(cluster: Cluster) -> int:
    """How many jobs tell the run that the operator made for them."""
    return sum("mlflow" in job["status"] for job in cluster.jobs())


def most_memory(pid: int) -> float:
    """The peak of the resident memory, in MiB."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    [peak] = [line.split()[1] for line in lines if line.startswith("VmHWM")]
    return int(peak) / 1024


def tidy_up(cluster: Cluster) -> None:
    """Take all away, with nobody there to release the finalizers."""
    namespace = cluster.namespace
    api = Api(cluster)
    cluster.core.delete_collection_namespaced_pod(namespace, grace_period_seconds=0)
    cluster.batch.delete_collection_namespaced_job(namespace, propagation_policy="Background")
    cluster.delete_all()
    base = f"/apis/batch/v1/namespaces/{namespace}/jobs"
    release = {"metadata": {"finalizers": None}}
    left = cluster.batch.list_namespaced_job(namespace).items
    with ThreadPoolExecutor(6) as pool:
        list(pool.map(lambda job: api.send("PATCH", f"{base}/{job.metadata.name}", release), left))
