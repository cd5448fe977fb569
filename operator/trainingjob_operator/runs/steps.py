"""When a run's training last made a step, according to MLflow.

A point of `progress/step` stands for a step; in the run of a script without it, a point of any
metric other than the system metrics. The latest metrics of a run are those of the highest step: an
attempt that starts again below it does not show there, so the history decides.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta

from trainingjob_operator.adapters.mlflow_rest import MlflowApi, RunInfo
from trainingjob_operator.core import border, contract
from trainingjob_operator.core.intent import StepView, StepWatch

# Seconds from one look into the history of a metric to the next: it may be long.
LEAST_INTERVAL = 10.0
# Pages of a history that one look reads. MLflow gives it from its beginning, and a million points
# at once would cost it and us seconds and memory: a look goes on where the last one came to.
PAGES_PER_LOOK = 5
# How far the clock of a node may be ahead of ours.
SKEW = timedelta(minutes=5)


@dataclass(slots=True)
class Steps:
    """The steps of one run; `page` is where the unread part of the metric's history begins."""

    metric: str | None = None
    last_ms: int | None = None
    measured: bool = False
    checked: datetime | None = None
    page: str | None = None
    behind: bool = False

    def take(self, info: RunInfo, now: datetime) -> None:
        """Read the latest metrics of a run; a point from the future is not a step."""
        latest = _latest(now)
        times = {
            key: time
            for key, time in info.metric_times.items()
            if not key.startswith(contract.SYSTEM_METRICS) and time <= latest
        }
        self.measured = any(key.startswith(contract.SYSTEM_METRICS) for key in info.metric_times)
        if not times:
            return
        known = contract.METRIC_STEP in times
        metric = contract.METRIC_STEP if known else max(times, key=lambda key: times[key])
        if metric != self.metric:
            self.metric, self.page = metric, None
        self.last_ms = max(times[metric], self.last_ms or 0)

    def overdue(self, watch: StepWatch, now: datetime) -> bool:
        """Whether it is time to read the history: no step for long, as it seems."""
        last = max(self.last or watch.since, watch.since)
        if (now - last).total_seconds() < watch.seconds:
            return False
        again = max(watch.seconds / 4, LEAST_INTERVAL)
        if self.behind or self.checked is None:
            return True
        return (now - self.checked).total_seconds() >= again

    async def look_back(self, server: MlflowApi, run_id: str, now: datetime) -> None:
        """Continue reading the history of the metric; checked once it is read to its end.

        Raises:
            MlflowError: the history cannot be read.
        """
        latest = _latest(now)
        for _ in range(PAGES_PER_LOOK if self.metric is not None else 0):
            times, following = await server.point_times(run_id, self.metric or "", self.page)
            past = [ms for ms in times if ms <= latest]
            self.last_ms = max([*past, self.last_ms or 0])
            self.behind = following is not None
            if following is None:
                break
            self.page = following
        if not self.behind:
            self.checked = now

    @property
    def last(self) -> datetime | None:
        """When the last known step was made, according to its point."""
        return border.instant_of_ms(self.last_ms)

    def view(self, answering_since: datetime) -> StepView:
        """The view that decide() gets."""
        return StepView(answering_since, self.last, self.checked, self.measured)


def _latest(now: datetime) -> int:
    """The latest time that a point can have been made at, in milliseconds."""
    return int((now + SKEW).timestamp() * 1000)
