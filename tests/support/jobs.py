"""TrainingJobs, Jobs and pods as the API server would give them, for tests of the operator."""

from datetime import UTC, datetime, timedelta
from typing import Any

from trainingjob_operator.api import TrainingJob
from trainingjob_operator.core.intent import RunIdentity, RunStatus, RunView
from trainingjob_operator.core.observe import ContainerEnd, JobView, PodView
from trainingjob_operator.core.tracking_uris import TrackingUris

START = datetime(2026, 1, 1, tzinfo=UTC)
SERVERS = TrackingUris(
    "http://mlflow:5000", "https://mlflow.example.com", frozenset({"http://other"})
)
TRACKING = SERVERS.tracking("http://mlflow:5000", "")
RUN = RunIdentity("7", "f00d")
# In everything that belongs to the job `mnist`.
OWNER = {
    "apiVersion": "trainingjob.dev/v1alpha1",
    "kind": "TrainingJob",
    "name": "mnist",
    "uid": "u-1",
    "controller": True,
    "blockOwnerDeletion": True,
}
SELECTOR = {
    "app.kubernetes.io/managed-by": "trainingjob-operator",
    "trainingjob.dev/name": "mnist",
    "trainingjob.dev/uid": "u-1",
}


def at(seconds: int) -> datetime:
    """A moment of the test's clock."""
    return START + timedelta(seconds=seconds)


def training_job(
    spec: dict[str, Any] | None = None,
    status: dict[str, Any] | None = None,
    **metadata: Any,
) -> TrainingJob:
    """A TrainingJob `mnist`."""
    return TrainingJob.model_validate(
        {
            "apiVersion": "trainingjob.dev/v1alpha1",
            "kind": "TrainingJob",
            "metadata": {
                "name": "mnist",
                "namespace": "ml",
                "uid": "u-1",
                "generation": 1,
                "resourceVersion": "100",
                "creationTimestamp": "2026-01-01T00:00:00Z",
                **metadata,
            },
            "spec": {"image": "trainer:1", **(spec or {})},
            "status": status or {},
        }
    )


def goodput(
    queued: int = 0, starting: int = 0, productive: int = 0, lost: int = 0
) -> dict[str, Any]:
    """Where the time went, as the API server gets it."""
    return {
        "queuedSeconds": queued,
        "startingSeconds": starting,
        "productiveSeconds": productive,
        "lostSeconds": lost,
        "until": at(queued + starting + productive + lost).strftime("%Y-%m-%dT%H:%M:%SZ"),
    }


def started(state: str = "Starting", **more: Any) -> dict[str, Any]:
    """The status of a job whose first attempt is recorded."""
    return {
        "state": state,
        "attempt": 1,
        "attempts": [{"attempt": 1, "job": "mnist-1", "startTime": "2026-01-01T00:00:00Z"}],
        "startTime": "2026-01-01T00:00:00Z",
        "observedGeneration": 1,
        "goodput": goodput(),
        "mlflow": {
            "experimentId": "7",
            "runId": "f00d",
            "status": "SCHEDULED",
            "url": "https://mlflow.example.com/#/experiments/7/runs/f00d",
        },
        **more,
    }


def run(status: str | None = "SCHEDULED", **more: Any) -> RunView:
    """The run as MLflow confirmed it; one that has ended with all that its pods opened."""
    confirmed = RunStatus(status) if status else None
    more.setdefault("closed", confirmed is not None and confirmed.terminal)
    return RunView(identity=RUN, status=confirmed, **more)


def child(**more: Any) -> JobView:
    """The child Job of the first attempt."""
    values: dict[str, Any] = {
        "namespace": "ml",
        "name": "mnist-1",
        "uid": "j-1",
        "owner": "mnist",
        "owner_uid": "u-1",
        "created_at": at(0),
        "complete": False,
        "failing": False,
        "failed": False,
        "reason": "",
        "message": "",
        "ended_at": None,
        "suspended": False,
        "deleting": False,
        "deleted_at": None,
        "failed_ranks": frozenset(),
        "ending": False,
        "held": False,
        "foreground": False,
        "orphaning": False,
    }
    return JobView(**{**values, **more})


def pod(rank: int = 0, **more: Any) -> PodView:
    """A pod of the first attempt that waits for its container."""
    values: dict[str, Any] = {
        "namespace": "ml",
        "name": f"mnist-1-{rank}-x",
        "owner": "mnist",
        "owner_uid": "u-1",
        "attempt": 1,
        "rank": rank,
        "phase": "Pending",
        "node": f"node-{rank}",
        "deleting": False,
        "reason": "",
        "disruption": "",
        "started_at": None,
        "end": None,
        "waiting": None,
        "job_uid": "j-1",
        "ending": False,
        "deleted_at": None,
        "disrupted_at": None,
    }
    return PodView(**{**values, **more})


def running_pod(rank: int = 0, since: int = 5, **more: Any) -> PodView:
    """A pod whose container runs since a moment."""
    return pod(rank, phase="Running", started_at=at(since), **more)


def ended_pod(rank: int = 0, finished: int = 20) -> PodView:
    """A pod whose container ended with 0."""
    end = ContainerEnd(0, "Completed", "", at(finished))
    return pod(rank, phase="Succeeded", started_at=at(5), end=end)


def failed_pod(
    rank: int = 0,
    code: int = 1,
    reason: str = "Error",
    message: str = "",
    finished: int = 20,
    pod_reason: str = "",
    disruption: str = "",
) -> PodView:
    """A pod whose container ended with an exit code."""
    end = ContainerEnd(code, reason, message, at(finished))
    return pod(
        rank,
        phase="Failed",
        started_at=at(5),
        end=end,
        reason=pod_reason,
        disruption=disruption,
    )
