"""The thread that logs system metrics to the job's run for as long as the process lives."""

import logging
import threading
from collections.abc import Callable, Mapping
from typing import Protocol

from trainingjob_agent.contract import DEFAULT_MONITOR_INTERVAL_SECONDS, MonitorLevel
from trainingjob_agent.monitor.gpu import GpuFault
from trainingjob_agent.monitor.sample import SystemSample
from trainingjob_agent.monitor.sampler import SystemSampler
from trainingjob_agent.monitor.selection import Selection

_FIRST_WINDOW_SECONDS = 0.2
"""How long the first sample looks at the CPU; shorter is noise."""

_SAMPLES_A_CALL = 3
_LONGEST_PATIENCE_SECONDS = 30.0
"""A call costs three times what a sample does, however many it carries."""

_logger = logging.getLogger(__name__)


class MetricSink(Protocol):
    """Takes metrics without waiting for MLflow."""

    def log_metrics(
        self,
        metrics: Mapping[str, float],
        *,
        step: int,
        timestamp_milliseconds: int | None = None,
        run_id: str | None = None,
        patience_seconds: float = 0.0,
    ) -> None:
        """Queue values captured at one step and time; `run_id` None means the job's run.

        For `patience_seconds` nobody waits for them.
        """
        ...

    def set_tags(self, tags: Mapping[str, str]) -> None:
        """Queue tags of the job's run."""
        ...


class SystemMonitor(threading.Thread):
    """Samples at once, then at each interval, and once more when stopped.

    It knows its run by id and never looks at the run's status or at an active run, so nothing that
    happens to the run ends it. An error costs one sample.
    """

    def __init__(
        self,
        sink: MetricSink,
        *,
        run_id: str | None = None,
        interval_seconds: float = DEFAULT_MONITOR_INTERVAL_SECONDS,
        prefix: str = "system/",
        gpu_tag: str = "trainingjob.gpus",
        level: MonitorLevel = "basic",
        sampler: SystemSampler | None = None,
        on_sample: Callable[[SystemSample], None] | None = None,
    ) -> None:
        """Prepare the thread; `start()` begins to sample.

        Args:
            sink: where metrics go.
            run_id: MLflow run; None for the run that the sink knows.
            interval_seconds: time between two samples.
            prefix: of the metric names.
            gpu_tag: tag of the run that says which GPUs there are.
            level: how many metrics go to MLflow.
            sampler: what measures; by default this process's control group and GPUs.
            on_sample: called with every sample, in this thread.
        """
        super().__init__(name="system-monitor", daemon=True)
        self.run_id = run_id
        self._sink = sink
        self._interval_seconds = interval_seconds
        self._prefix = prefix
        self._sampler = sampler or SystemSampler()
        self._gpu_tag = gpu_tag
        self._gpus = ""
        self._selection = Selection(level)
        self._on_sample = on_sample
        self._step = 0
        self._patience_seconds = 0.0  # the first sample shows at once that there are some
        self._stopping = threading.Event()

    def log_metrics_to_mlflow(self) -> None:
        """Take one sample and log it to the monitor's run.

        Its step is its time in milliseconds since the epoch: it grows over all attempts of a job
        though no attempt knows the last step of the one before. MLflow's latest value is that of
        the highest step.
        """
        sample = self._sampler.sample()
        # A clock that is set back must not make the newest value an old one.
        self._step = max(self._step + 1, sample.timestamp_milliseconds)
        selected = self._selection.of(sample)
        metrics = {self._prefix + name: value for name, value in selected.items()}
        self._sink.log_metrics(
            metrics,
            step=self._step,
            timestamp_milliseconds=sample.timestamp_milliseconds,
            run_id=self.run_id,
            patience_seconds=self._patience_seconds,
        )
        self._patience_seconds = _patience_seconds(self._interval_seconds)
        gpus = "; ".join(one.describe() for one in self._sampler.gpu_identities())
        if gpus != self._gpus:
            self._gpus = gpus
            self._sink.set_tags({self._gpu_tag: gpus})
        if self._on_sample is not None:
            self._on_sample(sample)

    def run(self) -> None:
        """Sample until stopped."""
        self._sampler.open()
        self._stopping.wait(_FIRST_WINDOW_SECONDS)
        while True:
            last = self._stopping.is_set()
            try:
                self.log_metrics_to_mlflow()
            except Exception:
                _logger.exception("system metrics: one sample failed")
            if last:
                return
            self._stopping.wait(self._interval_seconds)

    def gpu_faults(self) -> list[GpuFault]:
        """Look at the GPUs now, for a few seconds at most; return what is wrong with them.

        May be called from any thread, to explain a failure.
        """
        return self._sampler.gpu_faults()

    def stop(self, timeout_seconds: float = 5.0) -> None:
        """Take the final sample and end the thread; waits for it at most `timeout_seconds`."""
        self._stopping.set()
        if self.is_alive():
            self.join(timeout_seconds)


def _patience_seconds(interval_seconds: float) -> float:
    """Return how long a sample may wait for the next ones; they outlast a SIGKILL meanwhile."""
    return min((_SAMPLES_A_CALL - 1) * interval_seconds, _LONGEST_PATIENCE_SECONDS)
