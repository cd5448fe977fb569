"""Reports on the training: to Prometheus by each rank, to MLflow and the log by rank 0."""

import logging
import resource
import time
from collections.abc import Callable, Iterator, Mapping
from datetime import timedelta

import torch
from trainingjob_agent.exporter import TrainingMetrics

from trainingjob_trainer.distributed import Ranks, means_over_ranks
from trainingjob_trainer.progress import Means, Progress
from trainingjob_trainer.task import Batch
from trainingjob_trainer.throughput import Throughput

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
    """Sums up the steps, to be reported every `every_seconds`: the means are over all ranks."""

    def __init__(
        self,
        progress: Progress,
        metrics: TrainingMetrics,
        log_metrics: Callable[[Mapping[str, float], int], None] | None,
        ranks: Ranks,
        device: torch.device,
        *,
        every_seconds: float,
        throughput: Throughput,
    ) -> None:
        self._throughput = throughput
        self._ranks = ranks
        self._device = device
        self._progress = progress
        self._metrics = metrics
        self._log_metrics = log_metrics
        self._every_seconds = every_seconds
        self._window = Means()
        self._epoch_samples = 0
        self._epoch_speed = 0.0
        self._epoch_began = self._window_began = self._step_began = time.monotonic()

    @property
    def each_step(self) -> bool:
        """Whether there is a report of each step."""
        return self._every_seconds == 0

    @property
    def due(self) -> bool:
        """Whether the last report is old enough."""
        return time.monotonic() - self._window_began >= self._every_seconds

    def begin_epoch(self) -> None:
        """Start the clocks anew: what came between two epochs is no time of training."""
        self._metrics.epoch.set(self._progress.epoch)
        self._epoch_samples = 0
        self._epoch_began = self._window_began = self._step_began = time.monotonic()

    def step(self, means: Means, data_wait_seconds: float) -> None:
        """Take one step, which is done."""
        now = time.monotonic()
        self._metrics.steps.inc()
        self._metrics.samples.inc(means.samples)
        self._metrics.data_wait.observe(data_wait_seconds)
        self._metrics.step_duration.observe(now - self._step_began)
        self._step_began = now
        self._window.include(means)
        self._epoch_samples += means.samples

    def flush(self, measured: Mapping[str, float], tokens: int = 0) -> None:
        """Report the steps since the last report, if there are any. All ranks come here.

        Args:
            measured: values of the last step, such as its learning rate.
            tokens: of this rank in these steps.
        """
        own = self._window.samples
        if not own:
            return
        now = time.monotonic()
        each = self._ranks.of_all((own, tokens, peak_memory_megabytes(self._device)))
        means = means_over_ranks(self._window.sums(), own, self._ranks, self._device)
        seconds = max(now - self._window_began, 1e-9)
        self._window, self._window_began = Means(), now
        self._metrics.loss.labels("train").set(means["loss"])
        self._metrics.samples_per_second.set(own / seconds)
        self._metrics.progress.set(self._progress.percentage / 100)
        if self._log_metrics is None:
            return
        self._log_metrics(
            {
                **{f"train/{name}": value for name, value in means.items()},
                **{f"train/{name}": value for name, value in measured.items()},
                **self._throughput.metrics(
                    sum(samples for samples, _, _ in each),
                    sum(tokens for _, tokens, _ in each),
                    seconds,
                ),
                "perf/peak_memory_megabytes": max(peak for _, _, peak in each),
                **self._progress.metrics(now),
            },
            self._progress.step,
        )

    def end_training(self, measured: Mapping[str, float], tokens: int = 0) -> None:
        """Report the last steps of an epoch, before its validation. All ranks come here."""
        self.flush(measured, tokens)
        samples = sum(self._ranks.of_all(self._epoch_samples))
        self._epoch_speed = samples / max(time.monotonic() - self._epoch_began, 1e-9)

    def end_epoch(self, train: Mapping[str, float], validation: Mapping[str, float]) -> None:
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
            _readable(train),
            _readable(validation),
            f"{self._epoch_speed:,.0f}",
            timedelta(seconds=round(progress.remaining_seconds(time.monotonic()))),
        )

    def evaluated(self, validation: Mapping[str, float]) -> None:
        """Report a model that was evaluated without training."""
        if self._log_metrics is None:
            return
        _logger.info("validation %s", _readable(validation))
        now = self._progress.metrics(time.monotonic())
        self._log_metrics({**{f"val/{k}": v for k, v in validation.items()}, **now}, 0)

    def ended_early(self) -> None:
        """Report that nothing is left to do."""
        if self._log_metrics is not None:
            self._log_metrics(self._progress.metrics(time.monotonic()), self._progress.step)


def peak_memory_megabytes(device: torch.device) -> float:
    """Return the most memory that this process had: on the GPU what torch allocated, else all."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device) / 1e6
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e6


def _readable(means: Mapping[str, float]) -> str:
    return " ".join(f"{name} {value:.4f}" for name, value in means.items()) or "none"
