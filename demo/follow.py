"""The live view: a line for each change of the job, its pods, its events and its MLflow run."""

import logging
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, cast

from kubernetes import client as kubernetes_client
from mlflow import MlflowClient
from mlflow.exceptions import MlflowException

# SCHEDULED lasts for as long as the pods take to start: about a second.
POLL_SECONDS = 0.2
DETAILS_SECONDS = 1.0
TERMINAL_STATES = ("Succeeded", "Failed")
MAIN_METRICS = 3

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Sample:
    """A status of the MLflow run and when it was first seen."""

    time: datetime
    status: str


@dataclass
class Narrator:
    """Prints a line when the text for a key differs from the last time."""

    started: float = field(default_factory=time.monotonic)
    last: dict[str, str] = field(default_factory=dict)

    def report(self, key: str, subject: str, text: str) -> None:
        """Print the elapsed time, the subject and the text, if the text is new for this key."""
        if self.last.get(key) == text:
            return
        self.last[key] = text
        minutes, seconds = divmod(int(time.monotonic() - self.started), 60)
        print(f"{minutes:3d}:{seconds:02d}  {subject:<11} {text}", flush=True)


def progress_line(progress: dict[str, Any]) -> str:
    """Return one line from a TrainingJob's status.progress."""
    parts = [f"{progress['percentage']}%"] if "percentage" in progress else []
    parts += [f"{name} {progress[name]}" for name in ("epoch", "step") if name in progress]
    if "estimatedRemainingSeconds" in progress:
        parts.append(f"{progress['estimatedRemainingSeconds']} s left")
    metrics = sorted(progress.get("metrics", {}).items())[:MAIN_METRICS]
    parts += [f"{name} {value:.4g}" for name, value in metrics]
    return "  ".join(parts)


def pod_line(pod: Any) -> str:
    """Return a pod's phase and, if its container waits or has ended, why."""
    statuses = pod.status.container_statuses or []
    details = [
        detail.reason
        for status in statuses
        for detail in (status.state.waiting, status.state.terminated)
        if detail is not None and detail.reason
    ]
    return " ".join([pod.metadata.name, pod.status.phase, *details])


class Follower:
    """Follows one TrainingJob to its end and keeps the statuses that its run went through."""

    def __init__(self, namespace: str, name: str, mlflow: MlflowClient) -> None:
        self.namespace = namespace
        self.name = name
        self.mlflow = mlflow
        self.history: list[Sample] = []
        self.narrator = Narrator()
        self.jobs = kubernetes_client.CustomObjectsApi()
        self.core = kubernetes_client.CoreV1Api()

    def connect(self) -> None:
        """Make the first calls, which take seconds, before there is something to miss."""
        self.mlflow.search_experiments(max_results=1)
        next(self._pods(), None)

    def until_end(self, timeout_seconds: float) -> dict[str, Any]:
        """Return the finished TrainingJob; raise TimeoutError when it does not finish in time."""
        self.narrator = Narrator()
        deadline = time.monotonic() + timeout_seconds
        details_due = 0.0
        while time.monotonic() < deadline:
            job = self._look()
            if time.monotonic() >= details_due:
                self._look_at_details(job["metadata"]["uid"])
                details_due = time.monotonic() + DETAILS_SECONDS
            settled = not self.history or self.history[-1].status not in ("SCHEDULED", "RUNNING")
            if job.get("status", {}).get("state") in TERMINAL_STATES and settled:
                self._look_at_details(job["metadata"]["uid"])
                return job
            time.sleep(POLL_SECONDS)
        raise TimeoutError(f"{self.name} did not end within {timeout_seconds:.0f} s")

    def _look(self) -> dict[str, Any]:
        job = cast(
            "dict[str, Any]",
            self.jobs.get_namespaced_custom_object(
                "trainingjob.dev", "v1alpha1", self.namespace, "trainingjobs", self.name
            ),
        )
        status = job.get("status", {})
        self.narrator.report("state", "TrainingJob", status.get("state", "created"))
        self._look_at_run(status.get("mlflow", {}).get("runId"))
        if line := progress_line(status.get("progress") or {}):
            self.narrator.report("progress", "progress", line)
        return job

    def _look_at_details(self, uid: str) -> None:
        for pod in self._pods():
            self.narrator.report(f"pod/{pod.metadata.name}", "pod", pod_line(pod))
        for event in self._events(uid):
            self.narrator.report(event.metadata.uid, "event", f"{event.reason}: {event.message}")

    def _look_at_run(self, run_id: str | None) -> None:
        if run_id is None:
            return
        try:
            status = self.mlflow.get_run(run_id).info.status
        except MlflowException as error:
            logger.warning("MLflow did not answer: %s", error)
            return
        if not self.history or self.history[-1].status != status:
            self.history.append(Sample(datetime.now(UTC), status))
        self.narrator.report("run", "MLflow run", f"{status} ({run_id})")

    def _pods(self) -> Iterator[Any]:
        selector = f"trainingjob.dev/name={self.name}"
        yield from self.core.list_namespaced_pod(self.namespace, label_selector=selector).items

    def _events(self, uid: str) -> Iterator[Any]:
        selector = f"involvedObject.uid={uid}"
        events = self.core.list_namespaced_event(self.namespace, field_selector=selector).items
        yield from sorted(events, key=lambda event: str(event.metadata.creation_timestamp))
