"""TrainingJobs as the API server gives them to the client."""

from datetime import UTC, datetime
from typing import Any

from trainingjob.core import job as jobs
from trainingjob.core.job import Job

NOW = datetime(2026, 1, 1, 1, 0, 10, tzinfo=UTC)
RUN = {
    "trackingUri": "http://mlflow:5000",
    "runId": "f00d",
    "status": "RUNNING",
    "url": "https://mlflow.example.com/#/experiments/7/runs/f00d",
}


def body(state: str | None = None, spec: dict[str, Any] | None = None, **status: Any) -> Any:
    """The job `mnist` of the namespace `ml`, an hour and ten seconds old at NOW."""
    return {
        "apiVersion": "trainingjob.dev/v1alpha1",
        "kind": "TrainingJob",
        "metadata": {
            "name": "mnist",
            "namespace": "ml",
            "uid": "u-1",
            "creationTimestamp": "2026-01-01T00:00:00Z",
        },
        "spec": {"image": "trainer:1", **(spec or {})},
        **({"status": {"state": state, **status}} if state else {}),
    }


def job(state: str | None = None, spec: dict[str, Any] | None = None, **status: Any) -> Job:
    """The same as the client reads it."""
    return jobs.read(body(state, spec, **status))
