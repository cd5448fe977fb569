"""The thread that logs the models of a training, for as long as somebody waits."""

import logging
import threading
import time
from collections.abc import Sequence

from torch import Tensor
from trainingjob_agent.delivery.backoff import Backoff, Closing
from trainingjob_agent.delivery.connection import RunConnection
from trainingjob_agent.delivery.outage import is_outage
from trainingjob_agent.delivery.sender import Sender

from trainingjob_trainer.model_logging.uploading import (
    TrainedModel,
    log_model,
    remove_unfinished,
)

_FLUSH_BEFORE_MODEL_SECONDS = 15.0
"""More than the sender waits between two tries: after an outage the metrics come first."""
_CLEANING_SECONDS = 5.0
"""With the wait for a signal, inside the 15 s of `--stop-seconds`."""

_logger = logging.getLogger(__name__)


class ModelNotLoggedError(Exception):
    """A trained model is not in MLflow.

    Attributes:
        again: whether another attempt may have it there.
    """

    def __init__(self, message: str, *, again: bool = False) -> None:
        super().__init__(message)
        self.again = again


class ModelThread(threading.Thread):
    """Logs models one after the other, through outages, for as long as somebody waits."""

    def __init__(
        self,
        connection: RunConnection,
        sender: Sender,
        models: Sequence[TrainedModel],
        example: Tensor | None,
    ) -> None:
        super().__init__(name="model-logging", daemon=True)
        self._connection = connection
        self._sender = sender
        self._models = models
        self._example = example
        self.current = ""
        """Name of the model under way."""
        self.refused = ""
        """Why MLflow has not got a model that it will not get."""
        self._abandoned = Closing()
        self._backoff = Backoff("logging of models", _logger)

    def run(self) -> None:
        """Log all; an error of one does not keep the next from being logged."""
        for model in self._models:
            self.current = model.name
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
            _logger.exception("%s is not in MLflow", model.name)
            self.refused = self.refused or f"{model.name} is not in MLflow: {error}"
        else:
            self._backoff.succeeded()
            _logger.info("%s logged as %s in %.1f s", model.name, uri, time.monotonic() - began)
        return True

    def _clean(self) -> None:
        try:
            remove_unfinished(*self._connection.resolve())
        except Exception as error:  # noqa: BLE001 - the server may be away, which is why we are here
            _logger.warning("an unfinished model may be left in MLflow: %s", error)
