"""What people's own scripts do, in real pods: the inputs are `cases/*.yaml`, all at once."""

import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml
from mlflow import MlflowClient
from mlflow.entities import Run

from tests.support.api import Cluster, Manifest
from tests.support.node import Installed, log, pods, wait_for_end
from tests.support.training import kubectl
from tests.support.waiting import wait_for

CASES = Path(__file__).parent / "cases"
END_SECONDS = 240


@dataclass(frozen=True)
class Case:
    """A TrainingJob that has ended: with its run, its events, and the log of each pod by name."""

    status: dict[str, Any]
    run: Run
    logs: dict[str, str]
    events: list[tuple[str, str]]
    mlflow: MlflowClient

    @property
    def end(self) -> tuple[str, int]:
        """State and number of attempts."""
        return self.status["state"], self.status["attempt"]

    @property
    def log(self) -> str:
        """The log of the only pod."""
        [text] = self.logs.values()
        return text

    def steps_by_time(self, key: str) -> list[int]:
        points = self.mlflow.get_metric_history(self.run.info.run_id, key)
        return [point.step for point in sorted(points, key=lambda point: point.timestamp)]


def changed_parameter(case: Case) -> None:
    """The first value stays, the other one is a tag, and attempt 2 goes on."""
    assert case.end == ("Succeeded", 2)
    data = case.run.data
    host = "changed-parameter-1-0"
    assert data.params == {"learning_rate": "0.1", "host": host, "log_dir": "runs/1"}
    changed = {key: value for key, value in data.tags.items() if "changed_param" in key}
    assert changed == {
        "trainingjob.changed_param.2.host": "changed-parameter-2-0",
        "trainingjob.changed_param.2.log_dir": "runs/2",
    }
    _, second = sorted(case.logs.items())
    assert second[1].count("parameter host stays") == 1
    assert case.steps_by_time("train/loss") == [*range(6), *range(10)]


def every_rank_logs(case: Case) -> None:
    """Rank 0 owns parameters and metrics; what becomes of the others' is said once."""
    assert case.end == ("Succeeded", 1)
    assert case.run.data.params == {"batch_size": "32", "seed": "1000", "device": "cuda:0"}
    assert case.run.data.metrics["loss"] == 0.1
    assert case.steps_by_time("loss") == list(range(10))
    assert case.log.count("rank 0 alone logs to the job's run") == 1


def experiment_name(case: Case) -> None:
    """The job's experiment counts, for the nested run, too, which is said once."""
    assert case.end == ("Succeeded", 1)
    jobs, run_id = case.run.info.experiment_id, case.run.info.run_id
    assert case.mlflow.get_experiment(jobs).name == "cases"
    assert case.run.data.metrics["loss"] == 0.5
    [fold] = case.mlflow.search_runs([jobs], f"tags.`mlflow.parentRunId` = '{run_id}'")
    assert (fold.info.run_name, fold.info.status) == ("fold 1", "FINISHED")
    assert fold.data.metrics == {"fold_loss": 0.4}
    assert case.log.count("the job's run stays in its experiment") == 1


def nodes_apart(case: Case) -> None:
    """Log, status and event say that each node trains the whole model."""
    assert case.end == ("Succeeded", 1)
    noted = "the 2 nodes do not train together"
    conditions = {one["type"]: one for one in case.status["conditions"]}
    joined = conditions["NodesJoined"]
    assert (joined["status"], joined["reason"]) == ("False", "NodesNotJoined")
    assert joined["message"].startswith(noted)
    assert case.events.count(("Warning", "NodesNotJoined")) == 1
    for text in case.logs.values():
        assert f"trainingjob-exec: NodesNotJoined: {noted}" in text


def own_uri_file(case: Case) -> None:
    """Its runs are where the script wants them, and nothing of them is in the job's run."""
    assert case.end == ("Succeeded", 1)
    assert case.log.count("the script logs to sqlite:////tmp/mine.db, as it has chosen") == 1
    assert "{'loss': 0.5}" in case.log
    assert "loss" not in case.run.data.metrics


def own_uri_localhost(case: Case) -> None:
    """A server that is not there fails the script as it does without us."""
    assert case.end == ("Failed", 1)
    assert case.status["attempts"][0]["exitCode"] == 1
    assert case.log.count("the script logs to http://127.0.0.1:5000, as it has chosen") == 1
    assert "Connection refused" in case.status["failure"]["message"]


def plain_python(case: Case) -> None:
    """Two nodes find each other by MASTER_ADDR and the like."""
    assert case.end == ("Succeeded", 1)
    assert len(case.logs) == 2
    for text in case.logs.values():
        assert "sum 2.0" in text


def shared_memory(case: Case) -> None:
    """A reason of its own, and the field that helps."""
    assert case.end == ("Failed", 1)
    assert case.status["failure"]["reason"] == "SharedMemoryExhausted"
    assert "spec.sharedMemory" in case.status["failure"]["message"]


def system_metric_steps(case: Case) -> None:
    """Steps grow with time over both attempts, so that the latest value is the newest."""
    assert case.end == ("Succeeded", 2)
    steps = case.steps_by_time("system/cpu_utilization_percentage")
    assert steps == sorted(set(steps))


def two_monitors(case: Case) -> None:
    """Only ours writes to the job's run."""
    assert case.end == ("Succeeded", 1)
    assert case.log.count("MLflow's own system metrics are off for the job's run") == 1
    # Each monitor counts from 0: of two, steps would come twice.
    steps = case.steps_by_time("system/cpu_utilization_percentage")
    assert steps == sorted(set(steps))


def user_and_description(case: Case) -> None:
    """The tags of the UI's columns are taken as they are, and the rest of the page is filled."""
    assert case.end == ("Succeeded", 1)
    page = {key: value for key, value in case.run.data.tags.items() if key.startswith("mlflow.")}
    assert page == {
        "mlflow.user": "team-vision",
        "mlflow.note.content": "Baseline with **cosine** schedule",
        "mlflow.source.git.commit": "0123456789abcdef0123456789abcdef01234567",
        "mlflow.source.name": """python -c 'print('"'"'hello'"'"')'""",
        "mlflow.source.type": "JOB",
        "mlflow.runName": "user-and-description",
    }


EXPECTED: dict[str, Callable[[Case], None]] = {
    "changed-parameter": changed_parameter,
    "every-rank-logs": every_rank_logs,
    "experiment-name": experiment_name,
    "nodes-apart": nodes_apart,
    "own-uri-file": own_uri_file,
    "own-uri-localhost": own_uri_localhost,
    "plain-python": plain_python,
    "shared-memory": shared_memory,
    "system-metric-steps": system_metric_steps,
    "two-monitors": two_monitors,
    "user-and-description": user_and_description,
}


def apply_all(cluster: Cluster) -> set[str]:
    """Create what the files hold; return the names of the TrainingJobs."""
    jobs: list[Manifest] = []
    for file in sorted(CASES.glob("*.yaml")):
        for document in yaml.safe_load_all(file.read_text()):
            if document["kind"] == "ConfigMap":
                cluster.core.create_namespaced_config_map(cluster.namespace, document)
            else:
                jobs.append(document)
    cluster.apply(*jobs)
    return {job["metadata"]["name"] for job in jobs}


def assert_progress_is_shown(cluster: Cluster, name: str) -> None:
    """While it trains, `kubectl get` says how far it is, and how long it takes."""

    def columns() -> list[str] | None:
        row = kubectl("get", "tj", name, "--namespace", cluster.namespace, "--no-headers")
        shown = row.split()[1:4]
        return shown if re.fullmatch(r"Running \d{1,2}% \d+s", " ".join(shown)) else None

    wait_for("PROGRESS and ETA", columns, 120, poll=1)


def assert_waits_in_its_queue(cluster: Cluster, name: str) -> None:
    """Kueue finds queue and priority on the Job, which it is to admit."""
    metadata = cluster.created_job(name, 1).metadata
    assert metadata.labels.items() >= {
        ("kueue.x-k8s.io/queue-name", "team-vision"),
        ("kueue.x-k8s.io/priority-class", "high"),
        ("cost-center", "4711"),
    }
    wait_for("it is queued", lambda: cluster.state(name) == "Queued", 60)
    assert pods(cluster, name) == []


@pytest.mark.timeout(900)
def test_scripts_as_people_have_them(
    installed: Installed, cluster: Cluster, subtests: pytest.Subtests
) -> None:
    assert apply_all(cluster) == {*EXPECTED, "reported-progress", "kueue-labels"}
    assert_waits_in_its_queue(cluster, "kueue-labels")
    assert_progress_is_shown(cluster, "reported-progress")
    statuses = {name: wait_for_end(cluster, name, END_SECONDS) for name in EXPECTED}
    for name, expect in EXPECTED.items():
        names = [pod.metadata.name for pod in pods(cluster, name)]
        case = Case(
            statuses[name],
            installed.mlflow.get_run(statuses[name]["mlflow"]["runId"]),
            {pod: log(cluster, pod) for pod in names},
            cluster.events(name),
            installed.mlflow,
        )
        with subtests.test(name):
            expect(case)
