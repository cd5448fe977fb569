"""What every part of one decision reads."""

from dataclasses import dataclass, replace
from datetime import datetime

from trainingjob_operator.api import TrainingJob, TrainingJobStatus
from trainingjob_operator.core.hardening import DEFAULTS, PodDefaults
from trainingjob_operator.core.intent import RunIdentity, RunView
from trainingjob_operator.core.tracking_uris import Tracking, TrackingUris


@dataclass(frozen=True, slots=True)
class Context:
    """What every part of one decision reads."""

    job: TrainingJob
    run: RunView
    now: datetime
    uris: TrackingUris
    tracking: Tracking | None
    defaults: PodDefaults = DEFAULTS

    def having(self, status: TrainingJobStatus) -> "Context":
        """The same with a status that is not stored."""
        return replace(self, job=self.job.model_copy(update={"status": status}))

    @property
    def run_identity(self) -> RunIdentity | None:
        """The run as MLflow answered, else as stored."""
        stored = self.job.status.mlflow
        if self.run.identity is None and stored and stored.run_id and stored.experiment_id:
            return RunIdentity(stored.experiment_id, stored.run_id)
        return self.run.identity
