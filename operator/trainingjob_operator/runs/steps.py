"""When a run's training last made a step, as far as MLflow tells.

A point of `progress/step` tells of one; in the run of a script without it, a point of any metric
but those of the system. The latest metrics of a run are those of the highest step: an attempt that
starts again below that leaves no trace there, so that the history has the last word.
"""

from dataclasses import dataclass
from datetime import UTC, datetime

from trainingjob_operator.adapters.mlflow_rest import MlflowApi, RunInfo
from trainingjob_operator.core import contract
from trainingjob_operator.core.intent import StepView, StepWatch

# Seconds from one look into the history of a metric to the next: it may be long.
LEAST_INTERVAL = 10.0


@dataclass(slots=True)
class Steps:
    """The steps of one run."""

    metric: str | None = None
    last_ms: int | None = None
    measured: bool = False
    checked: datetime | None = None

    def take(self, info: RunInfo) -> None:
        """Read the latest metrics of a run."""
        told = {
            key: time
            for key, time in info.metric_times.items()
            if not key.startswith(contract.SYSTEM_METRICS)
        }
        self.measured = len(told) < len(info.metric_times)
        if not told:
            return
        known = contract.METRIC_STEP in told
        self.metric = contract.METRIC_STEP if known else max(told, key=lambda key: told[key])
        self.last_ms = max(told[self.metric], self.last_ms or 0)

    def overdue(self, watch: StepWatch, now: datetime) -> bool:
        """Whether it is time for a look into the history: no step for long, as it seems."""
        last = max(self.last or watch.since, watch.since)
        if (now - last).total_seconds() < watch.seconds:
            return False
        again = max(watch.seconds / 4, LEAST_INTERVAL)
        return self.checked is None or (now - self.checked).total_seconds() >= again

    async def look_back(self, server: MlflowApi, run_id: str, now: datetime) -> None:
        """Read the history of the metric; raises MlflowError."""
        if self.metric is not None:
            newest = await server.last_point_ms(run_id, self.metric)
            self.last_ms = max(newest or 0, self.last_ms or 0)
        self.checked = now

    @property
    def last(self) -> datetime | None:
        """When the last known step was told to have been made."""
        return None if self.last_ms is None else datetime.fromtimestamp(self.last_ms / 1000, UTC)

    def view(self, answering_since: datetime) -> StepView:
        """What decide() is told."""
        return StepView(answering_since, self.last, self.checked, self.measured)
