"""What a deletion waits for, so that whoever requested it learns why."""

from datetime import datetime, timedelta

from trainingjob_operator.api import TrainingJob
from trainingjob_operator.core.intent import EventIntent, RunView
from trainingjob_operator.core.observe import Observed

PODS, MLFLOW = "DeletionWaitsForPods", "DeletionWaitsForMLflow"
# How much longer than their grace period pods may take before an Event reports it.
PATIENCE = timedelta(seconds=30)
NAMED = 5


def waits_for(
    job: TrainingJob, observed: Observed, run: RunView, now: datetime
) -> EventIntent | None:
    """The Event for a TrainingJob whose deletion is held up; None if it completes in time."""
    asked = job.metadata.deletion_timestamp
    if asked is None:
        return None
    live = sorted(f"{pod.name} on node {pod.node or '-'}" for pod in observed.pods if pod.live)
    if not live:
        return _mlflow(run)
    grace = timedelta(seconds=job.spec.termination_grace_period_seconds)
    if now - asked < grace + PATIENCE:
        return None
    more = f" and {len(live) - NAMED} more" if len(live) > NAMED else ""
    message = (
        f"the deletion waits for pods that do not end: {', '.join(live[:NAMED])}{more}; where a "
        "node is gone for good, delete its Node object, or the pods with --force"
    )
    return EventIntent("Warning", PODS, message)


def _mlflow(run: RunView) -> EventIntent | None:
    if run.problem is None:
        return None
    message = (
        "the deletion waits two minutes at most for MLflow, which does not accept the run's end: "
        f"{run.problem}"
    )
    return EventIntent("Warning", MLFLOW, message)
