"""What runs beside a training on its node: delivery to MLflow, monitor, exporter. No torch."""

import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

from trainingjob_agent.contract import Contract
from trainingjob_agent.delivery.backoff import Closing
from trainingjob_agent.delivery.bundles import Bundles
from trainingjob_agent.delivery.connection import RunConnection
from trainingjob_agent.delivery.sender import Sender
from trainingjob_agent.delivery.spool import Spool
from trainingjob_agent.delivery.uploader import Uploader
from trainingjob_agent.exporter import Exporter
from trainingjob_agent.monitor import GpuFault, SystemMonitor, SystemSample, find_gpu_faults

if TYPE_CHECKING:
    from pathlib import Path

    from prometheus_client.registry import Collector

    from trainingjob_agent.delivery.batch import Batch
    from trainingjob_agent.monitor.sampler import SystemSampler

FLUSH_SECONDS = 900.0
"""When training is done: nobody comes after it who would deliver the rest."""
FLUSH_AFTER_FAILURE_SECONDS = 60.0
FLUSH_AFTER_SIGNAL_SECONDS = 10.0
"""With the 15 s of `--stop-seconds`, inside the 60 s of `terminationGracePeriodSeconds`."""

_MONITOR_SECONDS = 5.0

_logger = logging.getLogger(__name__)


class Companions:
    """Starts what the place of this process asks for.

    Local rank 0 of each node watches the node, delivers to MLflow and serves Prometheus, for all
    ranks of the node; in other processes, and without a tracking server, the same calls do nothing.
    """

    def __init__(
        self,
        contract: Contract,
        collectors: Sequence["Collector"],
        on_sample: Callable[[SystemSample], None],
        sampler: "SystemSampler | None" = None,
        collect: "Callable[[], Iterable[Batch]] | None" = None,
    ) -> None:
        """Prepare.

        Args:
            contract: which process this is.
            collectors: served to Prometheus, beside those of the delivery.
            on_sample: called with every sample of the monitor, in its thread.
            sampler: what the monitor measures by; by default that of this process.
            collect: returns what other processes have logged to the run since the last call.
        """
        leads_node = contract.local_rank == 0
        tracked = contract.tracked and leads_node
        self.connection = RunConnection(contract) if tracked else None
        self.sender: Sender | None = None
        if self.connection:
            self.sender = Sender(self.connection, Spool.of(contract), collect=collect)
        self.uploader = Uploader(self.connection) if self.connection else None
        self._monitor: SystemMonitor | None = None
        if leads_node and contract.monitor_enabled:
            self._monitor = SystemMonitor(
                self,
                run_id=contract.run_id,
                interval_seconds=contract.monitor_interval_seconds,
                prefix=contract.system_metric_prefix,
                gpu_tag=contract.gpu_tag,
                level=contract.monitor_level,
                sampler=sampler,
                on_sample=on_sample,
            )
        served = [*collectors, *(self.sender.collectors if self.sender else [])]
        self._exporter = Exporter(contract, served)
        self._run_url = contract.run_url
        self._closing = Closing()

    def start(self) -> None:
        """Start all threads; the first system sample is taken at once."""
        for service in (self._exporter, self._monitor, self.sender, self.uploader):
            if service is not None:
                service.start()
        if self.sender is None:
            _logger.info("no MLflow run given: metrics go to this log and to Prometheus only")
        elif self._run_url:
            _logger.info("the run in MLflow: %s", self._run_url)

    def log_metrics(
        self,
        metrics: Mapping[str, float],
        *,
        step: int,
        timestamp_milliseconds: int | None = None,
        run_id: str | None = None,
        patience_seconds: float = 0.0,
    ) -> None:
        """Queue metrics for the run."""
        if self.sender:
            self.sender.log_metrics(
                metrics,
                step=step,
                timestamp_milliseconds=timestamp_milliseconds,
                run_id=run_id,
                patience_seconds=patience_seconds,
            )

    def set_tags(self, tags: Mapping[str, str]) -> None:
        """Queue tags of the run."""
        if self.sender:
            self.sender.set_tags(tags)

    def upload(self, file: "Path", directory: str, *, then_delete: bool = False) -> None:
        """Queue a file as an artifact of the run."""
        if self.uploader:
            self.uploader.file(file, directory, then_delete=then_delete)

    def make_calls(self, bundles: Bundles, pending_id: str, *, ended: bool) -> None:
        """Queue what waits in `bundles`; after the end of the script also what is not whole."""
        if self.uploader:
            for bundle in bundles.take(ended=ended):
                self.uploader.bundle(bundle, bundles, pending_id)

    def gpu_faults(self) -> list[GpuFault]:
        """Look at the node's GPUs now, for a few seconds at most; return what is wrong."""
        return self._monitor.gpu_faults() if self._monitor else find_gpu_faults()

    def close(self, within_seconds: float) -> None:
        """Take the last system sample and deliver what is left, at most for `within_seconds`."""
        self._closing.request(within_seconds)
        if self._monitor:
            self._monitor.stop(min(_MONITOR_SECONDS, within_seconds))
        if self.sender:
            self.sender.close(self._closing.remaining_seconds())
        if self.uploader:
            self.uploader.close(self._closing.remaining_seconds())
        self._exporter.stop()

    def shorten(self, within_seconds: float) -> None:
        """End `close`, which runs in another thread, within `within_seconds`."""
        self._closing.request(within_seconds)
        if self.sender:
            self.sender.shorten(within_seconds)
        if self.uploader:
            self.uploader.shorten(within_seconds)
