"""All that runs beside the training of one process of the loop."""

import logging
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from torch import Tensor
from trainingjob_agent.companions import (
    FLUSH_AFTER_FAILURE_SECONDS,
    FLUSH_SECONDS,
    Companions,
)
from trainingjob_agent.contract import Contract
from trainingjob_agent.delivery.backoff import Backoff, Closing
from trainingjob_agent.delivery.connection import RunConnection
from trainingjob_agent.delivery.outage import is_outage
from trainingjob_agent.delivery.sender import Sender
from trainingjob_agent.exporter import TrainingMetrics
from trainingjob_agent.logs.keeper import LogKeeper
from trainingjob_agent.logs.output import Output
from trainingjob_agent.monitor.sampler import SystemSampler

from trainingjob_trainer.allocator import AllocatorReader
from trainingjob_trainer.checkpoint import checkpoint_duration, checkpoint_errors
from trainingjob_trainer.model_logging import TrainedModel, log_model, remove_unfinished
from trainingjob_trainer.samples import sample_errors

if TYPE_CHECKING:
    from prometheus_client.registry import Collector

_START_SECONDS = 10.0
"""Until the first step nothing goes to MLflow, but no longer than this: the import of its client
takes two seconds of a processor, and the interpreter's lock, from the start of the training."""
_FLUSH_BEFORE_MODEL_SECONDS = 15.0
"""More than the sender waits between two tries: after an outage the metrics come first."""
_POLL_SECONDS = 0.2
_MODEL_SECONDS = FLUSH_SECONDS - FLUSH_AFTER_FAILURE_SECONDS
"""Of the time after a training; the rest of it is for what the sender has by then."""
_MODEL_SECONDS_OF_SEVERAL_NODES = 240.0
"""The agents of the other nodes wait 300 s for this one (torchrun's exit barrier)."""
_CLEANING_SECONDS = 5.0
"""With the wait for a signal, inside the 15 s of `--stop-seconds`."""

_logger = logging.getLogger(__name__)


class ModelThread(threading.Thread):
    """Logs models one after the other, through outages, for as long as somebody waits."""

    def __init__(
        self,
        connection: RunConnection,
        sender: Sender,
        models: Sequence[TrainedModel],
        example: Tensor | None,
        without: str,
    ) -> None:
        """Prepare; `without` says in the log what there is without a model in MLflow."""
        super().__init__(name="model-logging", daemon=True)
        self._connection = connection
        self._sender = sender
        self._models = models
        self._example = example
        self._without = without
        self._abandoned = Closing()
        self._backoff = Backoff("logging of models", _logger)

    def run(self) -> None:
        """Log all; an error of one does not keep the next from being logged."""
        for model in self._models:
            while not self._abandoned.expired() and not self._try(model):
                self._backoff.wait(self._abandoned)

    def abandon(self) -> None:
        """Leave no half of a model behind."""
        self._abandoned.request(0)
        # Beside this thread, as a server that is away may not answer for minutes.
        cleaning = threading.Thread(target=self._clean, name="model-cleaning", daemon=True)
        cleaning.start()
        cleaning.join(_CLEANING_SECONDS)
        if cleaning.is_alive():
            _logger.warning("an unfinished model may be left in MLflow: it does not answer")

    def _try(self, model: TrainedModel) -> bool:
        """Try once; True when done with it, be it logged or refused."""
        began = time.monotonic()
        try:
            # A model shows the metrics which the run has at its step, so these go first.
            self._sender.flush(_FLUSH_BEFORE_MODEL_SECONDS)
            client, run_id = self._connection.resolve()
            uri = log_model(client, run_id, model, self._example, self._abandoned.expired)
        except Exception as error:
            if self._abandoned.expired():
                return True  # said by who abandoned it
            if is_outage(error):
                self._backoff.failed(error)
                return False
            _logger.exception("%s is not in MLflow; %s", model.name, self._without)
        else:
            self._backoff.succeeded()
            _logger.info("%s logged as %s in %.1f s", model.name, uri, time.monotonic() - began)
        return True

    def _clean(self) -> None:
        try:
            remove_unfinished(*self._connection.resolve())
        except Exception as error:  # noqa: BLE001 - the server may be away, which is why we are here
            _logger.warning("an unfinished model may be left in MLflow: %s", error)


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
        self._logs: LogKeeper | None = None
        if output is not None and self.connection is not None:
            try:
                self._log_directory = TemporaryDirectory(prefix="trainingjob-log-")
            except OSError as error:
                _logger.warning("the log of this attempt will not be in the run: %s", error)
            else:
                directory = Path(self._log_directory.name)
                self._logs = LogKeeper(output, contract, self.connection, directory)
        several = contract.num_nodes > 1
        self._model_seconds = _MODEL_SECONDS_OF_SEVERAL_NODES if several else _MODEL_SECONDS

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

    def log_models(
        self,
        models: Sequence[TrainedModel],
        example: Tensor | None,
        stopped: Callable[[], bool],
        checkpoints: Path | None,
    ) -> None:
        """Log models now; training is over. Ends when `stopped`, or after some minutes.

        What cannot be logged is an error in the log, which names `checkpoints` that have the
        weights, and no failure of the training.
        """
        if self.connection is None or self.sender is None:
            return
        # One deadline for the models and for the metrics, for which `close` waits.
        self._closing.request(FLUSH_SECONDS)
        without = "no checkpoint has the weights"
        if checkpoints is not None:
            without = f"the weights are in the newest checkpoint below {checkpoints}"
        # A daemon: an upload that hangs must not hold up the end of the process either.
        work = ModelThread(self.connection, self.sender, models, example, without)
        work.start()
        deadline = time.monotonic() + self._model_seconds
        while work.is_alive() and not stopped() and time.monotonic() < deadline:
            work.join(_POLL_SECONDS)
        if work.is_alive():
            why = "asked to stop" if stopped() else f"not done in {self._model_seconds:.0f} s"
            _logger.error("not all models are in MLflow: %s; %s", why, without)
            work.abandon()
