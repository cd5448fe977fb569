"""All that runs beside the training of one process of the loop."""

import logging
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from torch import Tensor
from trainingjob_agent.companions import FLUSH_AFTER_FAILURE_SECONDS, Companions
from trainingjob_agent.contract import Contract
from trainingjob_agent.exporter import TrainingMetrics
from trainingjob_agent.logs.keeper import LogKeeper
from trainingjob_agent.logs.output import Output
from trainingjob_agent.monitor.sampler import SystemSampler

from trainingjob_trainer.allocator import AllocatorReader
from trainingjob_trainer.checkpoint import checkpoint_duration, checkpoint_errors
from trainingjob_trainer.lineage import log_datasets
from trainingjob_trainer.model_logging import ModelNotLoggedError, ModelThread, TrainedModel
from trainingjob_trainer.samples import sample_errors
from trainingjob_trainer.task import DatasetVersion

if TYPE_CHECKING:
    from prometheus_client.registry import Collector

_START_SECONDS = 10.0
"""Until the first step nothing goes to MLflow, but no longer than this: the import of its client
takes two seconds of a processor, and the interpreter's lock, from the start of the training."""
_POLL_SECONDS = 0.2

_logger = logging.getLogger(__name__)


class Services(Companions):
    """The companions, and what only a training of ours has: samples, parameters, the models."""

    def __init__(self, contract: Contract, output: Output | None = None) -> None:
        """Prepare.

        Args:
            contract: which process this is.
            output: what this process prints, to be kept in the run.
        """
        self.metrics = TrainingMetrics()
        collectors: list[Collector] = [
            *(self.metrics.registry, sample_errors, checkpoint_errors, checkpoint_duration)
        ]
        allocator = AllocatorReader(contract.rank, contract.local_rank)
        if contract.local_rank > 0:  # the first rank's is part of the samples of its node
            collectors.append(allocator)
        sampler = SystemSampler({"torch": lambda: allocator})
        super().__init__(contract, collectors, self.metrics.observe_system, sampler)
        self._models: ModelThread | None = None
        self._logs: LogKeeper | None = None
        if output is not None and self.connection is not None:
            try:
                self._log_directory = TemporaryDirectory(prefix="trainingjob-log-")
            except OSError as error:
                _logger.warning("the log of this attempt will not be in the run: %s", error)
            else:
                directory = Path(self._log_directory.name)
                self._logs = LogKeeper(output, contract, self.connection, directory)

    def start(self) -> None:
        """Start all threads; what they measure is delivered once training steps."""
        if self.sender:
            self.sender.hold(_START_SECONDS)
        super().start()
        if self._logs:
            self._logs.start()

    def close(self, within_seconds: float) -> None:
        """End the log, too: what is printed from now on is in the pod's log only."""
        if self._logs and self._logs.end():
            self.upload(self._logs.file, self._logs.folder)
        super().close(within_seconds)

    def log_training_metrics(self, metrics: Mapping[str, float], step: int) -> None:
        """Queue metrics of a step that is done."""
        if self.sender:
            self.sender.hold(0)
        self.log_metrics(metrics, step=step)

    def log_params(self, params: Mapping[str, object]) -> None:
        """Queue parameters for the run."""
        if self.sender:
            self.sender.log_params(params)

    def upload_samples(self, file: Path, epoch: int) -> None:
        """Queue the samples of one epoch; a picture also becomes a step of the run's images."""
        if self.uploader is None:
            return
        if file.suffix == ".png":
            self.uploader.sample_image(file, epoch)
        else:
            self.uploader.file(file, "samples")

    def upload_trace(self, file: Path) -> None:
        """Queue what the profiler has written."""
        self.upload(file, "profile")

    def log_datasets(self, datasets: Sequence[DatasetVersion]) -> None:
        """Queue the data sets of the training, as inputs of the run."""
        if self.uploader is not None and datasets:
            self.uploader.call(
                "the data sets of the training",
                lambda client, run_id: log_datasets(client, run_id, datasets),
            )

    @property
    def left_behind(self) -> bool:
        """Whether a model that was given up is still being saved or uploaded."""
        return self._models is not None and self._models.is_alive()

    def log_models(
        self,
        models: Sequence[TrainedModel],
        example: Tensor | None,
        stopped: Callable[[], bool],
        *,
        checkpoints: Path | None,
        within_seconds: float,
    ) -> None:
        """Log models now; training is over. Ends when `stopped`, or after `within_seconds`.

        Raises:
            ModelNotLoggedError: one is not in MLflow; names `checkpoints` that have the weights.
        """
        if self.connection is None or self.sender is None:
            return
        # One deadline for the models and for the metrics, for which `close` waits.
        self._closing.request(within_seconds + FLUSH_AFTER_FAILURE_SECONDS)
        # A daemon: an upload that hangs must not hold up the end of the process either.
        work = self._models = ModelThread(self.connection, self.sender, models, example)
        work.start()
        deadline = time.monotonic() + within_seconds
        while work.is_alive() and not stopped() and time.monotonic() < deadline:
            work.join(_POLL_SECONDS)
        late = work.is_alive()
        if late:
            work.abandon()
        if stopped():
            _logger.error("not all models are in MLflow: asked to stop; %s", _left(checkpoints))
        elif late:
            why = f"{work.current} is not in MLflow after {within_seconds:.0f} s"
            raise ModelNotLoggedError(f"{why}; {_left(checkpoints)}", again=True)
        elif work.refused:
            raise ModelNotLoggedError(f"{work.refused}; {_left(checkpoints)}", again=False)


def _left(checkpoints: Path | None) -> str:
    """Say what there is without a model in MLflow."""
    if checkpoints is None:
        return "no checkpoint has the weights"
    return f"the weights are in the newest checkpoint below {checkpoints}"
