"""Progress in the status, from the latest metrics of the run; coarse: each change is a write."""

from datetime import datetime, timedelta

from trainingjob_operator.api import Progress, TrainingJobStatus
from trainingjob_operator.core import contract
from trainingjob_operator.core.intent import RunView

# Percentage points from one write of the progress to the next; after a minute one is enough.
GRAIN = 10
FINE_GRAIN, FINE_GRAIN_AFTER = 1, timedelta(minutes=1)
SHOWN_PREFIXES = ("train/", "val/")
SHOWN_AT_MOST = 8
# MLflow keeps an infinity as 1.8e308; the integers of the API have 64 bits, exact so far in JSON.
LARGEST = 2**53


def with_progress(status: TrainingJobStatus, run: RunView, now: datetime) -> TrainingJobStatus:
    """`status` with the run's progress, where that is news."""
    latest = _progress(dict(run.metrics), now)
    if latest is None or not _is_news(status.progress, latest, now):
        return status
    return status.model_copy(update={"progress": latest})


def _is_news(old: Progress | None, new: Progress, now: datetime) -> bool:
    if old is None or old.percentage is None or new.percentage is None:
        return True
    updated = old.last_update_time
    grain = FINE_GRAIN if updated is None or now - updated >= FINE_GRAIN_AFTER else GRAIN
    return abs(new.percentage - old.percentage) >= grain or new.percentage == 100 != old.percentage


def _progress(metrics: dict[str, float], now: datetime) -> Progress | None:
    percentage = metrics.get(contract.METRIC_PERCENTAGE)
    if percentage is None:
        return None
    shown = sorted(name for name in metrics if name.startswith(SHOWN_PREFIXES))[:SHOWN_AT_MOST]
    return Progress(
        percentage=min(max(round(percentage), 0), 100),
        epoch=_whole(metrics.get(contract.METRIC_EPOCH)),
        step=_whole(metrics.get(contract.METRIC_STEP)),
        estimated_remaining_seconds=_whole(metrics.get(contract.METRIC_REMAINING)),
        metrics={name: metrics[name] for name in shown},
        last_update_time=now,
    )


def _whole(value: float | None) -> int | None:
    return None if value is None or value > LARGEST else max(round(value), 0)
