"""What is told of the training: to Prometheus by each rank, to MLflow and the log by rank 0."""

import logging
import time
from collections.abc import Callable, Iterator, Mapping
from datetime import timedelta

from trainingjob_agent.exporter import TrainingMetrics

from trainingjob_trainer.progress import Means, Progress
from trainingjob_trainer.task import Batch

_logger = logging.getLogger(__name__)


class Timed(Iterator[Batch]):
    """Passes batches on, and adds up the time that it takes to get them."""

    def __init__(self, batches: Iterator[Batch]) -> None:
        self._batches = batches
        self._seconds = 0.0

    def __next__(self) -> Batch:
        began = time.monotonic()
        try:
            return next(self._batches)
        finally:
            self._seconds += time.monotonic() - began

    def take_seconds(self) -> float:
        """Return the time since the last call."""
        seconds, self._seconds = self._seconds, 0.0
        return seconds


class Reporter:
    """Sums up the steps, and reports them every `every_seconds`; the first one at once."""

    def __init__(
        self,
        progress: Progress,
        metrics: TrainingMetrics,
        log_metrics: Callable[[Mapping[str, float], int], None] | None,
        *,
        world_size: int,
        every_seconds: float,
    ) -> None:
        self._progress = progress
        self._metrics = metrics
        self._log_metrics = log_metrics
        self._world_size = world_size
        self._every_seconds = every_seconds
        self._window = Means()
        self._reported = False
        self._epoch_samples = 0
        self._epoch_speed = 0.0
        self._epoch_began = self._window_began = self._step_began = time.monotonic()

    def begin_epoch(self) -> None:
        """Start the clocks anew: what came between two epochs is no time of training."""
        self._metrics.epoch.set(self._progress.epoch)
        self._epoch_samples = 0
        self._epoch_began = self._window_began = self._step_began = time.monotonic()

    def step(self, means: Means, learning_rate: float, data_wait_seconds: float) -> None:
        """Take one step, which is done."""
        now = time.monotonic()
        self._metrics.steps.inc()
        self._metrics.samples.inc(means.samples)
        self._metrics.data_wait.observe(data_wait_seconds)
        self._metrics.step_duration.observe(now - self._step_began)
        self._step_began = now
        self._window.include(means)
        self._epoch_samples += means.samples
        if not self._reported or now - self._window_began >= self._every_seconds:
            self.flush(learning_rate)

    def flush(self, learning_rate: float) -> None:
        """Report the steps since the last report, if there are any."""
        if not self._window.samples:
            return
        now = time.monotonic()
        means = self._window.means()
        speed = self._speed(self._window.samples, now - self._window_began)
        self._window, self._window_began, self._reported = Means(), now, True
        self._metrics.loss.labels("train").set(means["loss"])
        self._metrics.samples_per_second.set(speed / self._world_size)
        self._metrics.progress.set(self._progress.percentage / 100)
        if self._log_metrics is None:
            return
        self._log_metrics(
            {
                **{f"train/{name}": value for name, value in means.items()},
                "train/learning_rate": learning_rate,
                "perf/samples_per_second": speed,
                **self._progress.metrics(now),
            },
            self._progress.step,
        )

    def end_training(self, learning_rate: float) -> None:
        """Report the last steps of an epoch, before its validation."""
        self.flush(learning_rate)
        self._epoch_speed = self._speed(self._epoch_samples, time.monotonic() - self._epoch_began)

    def end_epoch(self, train: Means, validation: Mapping[str, float]) -> None:
        """Report an epoch: its validation and its log line."""
        if self._log_metrics is None:
            return
        progress = self._progress
        if validation:
            self._metrics.loss.labels("validation").set(validation["loss"])
            self._log_metrics({f"val/{k}": v for k, v in validation.items()}, progress.step)
        _logger.info(
            "epoch %d/%d | train %s | validation %s | %s samples/s | %s left",
            progress.epoch,
            progress.epochs,
            _readable(train.means()),
            _readable(validation),
            f"{self._epoch_speed:,.0f}",
            timedelta(seconds=round(progress.remaining_seconds(time.monotonic()))),
        )

    def ended_early(self) -> None:
        """Report that nothing is left to do."""
        if self._log_metrics is not None:
            self._log_metrics(self._progress.metrics(time.monotonic()), self._progress.step)

    def _speed(self, samples: int, seconds: float) -> float:
        return samples * self._world_size / max(seconds, 1e-9)


def _readable(means: Mapping[str, float]) -> str:
    return " ".join(f"{name} {value:.4f}" for name, value in means.items()) or "none"
