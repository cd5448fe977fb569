"""All that runs beside the training of one process of the loop."""

import logging
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from torch import Tensor

from trainingjob_trainer.checkpoint import checkpoint_duration, checkpoint_errors
from trainingjob_trainer.companions import Companions
from trainingjob_trainer.contract import Contract
from trainingjob_trainer.exporter import TrainingMetrics
from trainingjob_trainer.model_logging import TrainedModel, log_model, remove_unfinished
from trainingjob_trainer.samples import sample_errors
from trainingjob_trainer.tracking import RunConnection

if TYPE_CHECKING:
    from prometheus_client.registry import Collector

_START_SECONDS = 10.0
"""Until the first step nothing goes to MLflow, but no longer than this: the import of its client
takes two seconds of a processor, and the interpreter's lock, from the start of the training."""
_FLUSH_BEFORE_MODEL_SECONDS = 5.0
_POLL_SECONDS = 0.2
_MODEL_SECONDS = 240.0
"""The agents of the other nodes wait 300 s for this one (torchrun's exit barrier)."""

_logger = logging.getLogger(__name__)


class ModelThread(threading.Thread):
    """Logs models one after the other, for as long as somebody waits."""

    def __init__(
        self, connection: RunConnection, models: Sequence[TrainedModel], example: Tensor | None
    ) -> None:
        super().__init__(name="model-logging", daemon=True)
        self._connection = connection
        self._models = models
        self._example = example
        self._abandoned = threading.Event()

    def run(self) -> None:
        """Log all; an error of one does not keep the next from being logged."""
        for model in self._models:
            began = time.monotonic()
            try:
                client, run_id = self._connection.resolve()
                uri = log_model(client, run_id, model, self._example, self._abandoned.is_set)
            except Exception:
                if self._abandoned.is_set():
                    return  # said by who abandoned it
                _logger.exception("%s is not in MLflow", model.name)
            else:
                _logger.info("%s logged as %s in %.1f s", model.name, uri, time.monotonic() - began)

    def abandon(self) -> None:
        """Leave no half of a model behind."""
        self._abandoned.set()
        try:
            remove_unfinished(*self._connection.resolve())
        except Exception as error:  # noqa: BLE001 - the server may be away, which is why we are here
            _logger.warning("an unfinished model may be left in MLflow: %s", error)


class Services(Companions):
    """The companions, and what only a training of ours has: samples, parameters, the models."""

    def __init__(self, contract: Contract) -> None:
        self.metrics = TrainingMetrics()
        collectors: list[Collector] = [
            *(self.metrics.registry, sample_errors, checkpoint_errors, checkpoint_duration)
        ]
        super().__init__(contract, collectors, self.metrics.observe_system)

    def start(self) -> None:
        """Start all threads; what they measure is delivered once training steps."""
        if self.sender:
            self.sender.hold(_START_SECONDS)
        super().start()

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
        """Queue the picture of one epoch."""
        if self.uploader:
            self.uploader.sample_image(file, epoch)

    def log_models(
        self, models: Sequence[TrainedModel], example: Tensor | None, stopped: Callable[[], bool]
    ) -> None:
        """Log models now; training is over. Ends when `stopped`, or after some minutes.

        What cannot be logged is an error in the log, no failure of the training.
        """
        if self.connection is None or self.sender is None:
            return
        # A model shows the metrics which the run has at its step, so these go first.
        self.sender.flush(_FLUSH_BEFORE_MODEL_SECONDS)
        # A daemon: an upload that hangs must not hold up the end of the process either.
        work = ModelThread(self.connection, models, example)
        work.start()
        deadline = time.monotonic() + _MODEL_SECONDS
        while work.is_alive() and not stopped() and time.monotonic() < deadline:
            work.join(_POLL_SECONDS)
        if work.is_alive():
            why = "asked to stop" if stopped() else f"not done in {_MODEL_SECONDS:.0f} s"
            _logger.error("not all models are in MLflow: %s", why)
            work.abandon()
