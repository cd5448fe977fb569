"""What the end-to-end tests do on the real node."""

import itertools
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from typing import Any

import yaml
from kubernetes import client
from mlflow.tracking import MlflowClient

from tests.support.api import Cluster, Manifest
from tests.support.service_account import NAME, NAMESPACE
from tests.support.waiting import beside, wait_for

REPOSITORY = Path(__file__).parents[2]
IMAGE = "docker.io/trainingjob/trainer:dev"
SCRIPTS = REPOSITORY / "tests" / "e2e" / "scripts"


@dataclass(frozen=True)
class Installed:
    """The operator and MLflow as installed by the chart."""

    kubeconfig: Path
    tracking_uri: str

    @property
    def mlflow(self) -> MlflowClient:
        """A client of the in-cluster MLflow from this machine."""
        return MlflowClient(self.tracking_uri)


@dataclass
class Statuses:
    """The distinct statuses that a run went through, as sampled."""

    seen: list[str] = field(default_factory=list)


@contextmanager
def sampled_status(mlflow: MlflowClient, cluster: Cluster, name: str) -> Iterator[Statuses]:
    """Sample the status of a job's run from when the job has its id to the end of the body."""
    statuses = Statuses()

    def follow(ended: threading.Event) -> None:
        run_id = wait_for_run(cluster, name, poll=0.05)
        while True:
            last = ended.is_set()
            status = mlflow.get_run(run_id).info.status
            if statuses.seen[-1:] != [status]:
                statuses.seen.append(status)
            if last:
                return
            ended.wait(0.1)

    with beside(follow):
        yield statuses


def example(name: str) -> Manifest:
    """The TrainingJob of an example, as a user would apply it."""
    text = (REPOSITORY / "manifests" / "examples" / name).read_text()
    documents = yaml.safe_load_all(text)
    found: Manifest = next(one for one in documents if one["kind"] == "TrainingJob")
    return found


def script_job(
    name: str, script: str, *, nodes: int = 1, runner: str = "python", memory: str = "2Gi"
) -> Manifest:
    """A TrainingJob that runs a plain script in the trainer image."""
    text = (SCRIPTS / script).read_text()
    return {
        "apiVersion": "trainingjob.dev/v1alpha1",
        "kind": "TrainingJob",
        "metadata": {"name": name},
        "spec": {
            "image": IMAGE,
            "imagePullPolicy": "IfNotPresent",
            # tini is process 1, so that a signal which the script sends to itself does end it.
            "command": ["tini", "--", *_command(runner, text)],
            "numNodes": nodes,
            "terminationGracePeriodSeconds": 10,
            "resourcesPerNode": {
                "requests": {"cpu": "100m", "memory": "300Mi"},
                "limits": {"memory": memory},
            },
        },
    }


def _command(runner: str, text: str) -> list[str]:
    if runner == "python":
        return ["python", "-c", text]
    # torchrun takes a file; /tmp is the only place that the pod may write to.
    return [
        "bash",
        "-c",
        f'cat > /tmp/script.py <<"END"\n{text}\nEND\nexec {runner} /tmp/script.py',
    ]


def wait_for_run(cluster: Cluster, name: str, seconds: float = 60, poll: float = 0.2) -> str:
    """The run's id, as soon as the status has it."""

    def run_id() -> str | None:
        job = cluster.get(name)
        found: str | None = (job or {}).get("status", {}).get("mlflow", {}).get("runId")
        return found

    return wait_for(f"{name} has a run", run_id, seconds, poll)


def wait_for_end(cluster: Cluster, name: str, seconds: float) -> dict[str, Any]:
    """The status of a job whose state is terminal and whose Jobs are released."""

    def ended() -> dict[str, Any] | None:
        return cluster.status(name) if cluster.has_ended(name) else None

    return wait_for(f"{name} ended", ended, seconds, poll=0.5)


@contextmanager
def operator_away(cluster: Cluster) -> Iterator[None]:
    """Scale the operator to nothing; afterwards it is there again. For tests that run alone."""
    apps = client.AppsV1Api(cluster.core.api_client)

    def scale(replicas: int) -> None:
        apps.patch_namespaced_deployment_scale(NAME, NAMESPACE, {"spec": {"replicas": replicas}})

    def running() -> list[Any]:
        selector = f"app.kubernetes.io/name={NAME},app.kubernetes.io/component=operator"
        found = cluster.core.list_namespaced_pod(NAMESPACE, label_selector=selector)
        return list(found.items)

    scale(0)
    try:
        wait_for("the operator is away", lambda: not running(), 60)
        yield
    finally:
        scale(1)


def pods(cluster: Cluster, name: str) -> list[Any]:
    """The pods of a job."""
    selector = f"trainingjob.dev/name={name}"
    return list(cluster.core.list_namespaced_pod(cluster.namespace, label_selector=selector).items)


def log(cluster: Cluster, pod: str) -> str:
    """The whole log of a pod's trainer container."""
    text: str = cluster.core.read_namespaced_pod_log(pod, cluster.namespace, container="trainer")
    return text


def exporter_text(cluster: Cluster, pod: str) -> str:
    """The metrics of a pod's exporter, through the API server's proxy."""
    text: str = cluster.core.connect_get_namespaced_pod_proxy_with_path(
        f"{pod}:9400", cluster.namespace, "metrics"
    )
    return text


def assert_sampled_throughout(
    mlflow: MlflowClient, run_id: str, name: str, interval: float
) -> None:
    """A system metric has points from before the first step to after the last, evenly."""
    samples, losses = times(mlflow, run_id, name), times(mlflow, run_id, "train/loss")
    gaps = [after - before for before, after in itertools.pairwise(samples)]
    assert samples[0] <= losses[0]
    assert samples[-1] >= losses[-1]
    # A machine that is busy with a test suite may be late for one sample, not for two. The last
    # sample is taken at the end, whenever that is.
    assert max(gaps) < 2 * interval + 1, gaps
    assert abs(median(gaps[:-1]) - interval) < 0.3, gaps


def times(mlflow: MlflowClient, run_id: str, name: str) -> list[float]:
    """When the points of a metric were taken, in seconds."""
    return sorted(point.timestamp / 1000 for point in mlflow.get_metric_history(run_id, name))
