"""The thread that uploads files: a slow artifact store holds up neither steps nor metrics."""

import logging
import threading
from collections import deque
from pathlib import Path
from typing import TYPE_CHECKING

from trainingjob_agent.delivery.backoff import Backoff, Closing
from trainingjob_agent.delivery.bundles import Bundle, Bundles
from trainingjob_agent.delivery.connection import RunConnection
from trainingjob_agent.delivery.late_calls import make_calls
from trainingjob_agent.delivery.outage import is_outage

if TYPE_CHECKING:
    from collections.abc import Callable

    from mlflow import MlflowClient

    Upload = Callable[[MlflowClient, str], None]

_MAX_WAITING = 10_000
_JOIN_SECONDS = 0.5

_logger = logging.getLogger(__name__)


class Uploader(threading.Thread):
    """An upload that the server refuses is logged; an outage is outlasted.

    In order, but what fails goes behind the others: it may be that file which the server fails on.
    """

    def __init__(self, connection: RunConnection) -> None:
        super().__init__(name="mlflow-uploader", daemon=True)
        self._connection = connection
        self._waiting: deque[tuple[str, Upload]] = deque()
        self._changed = threading.Condition()
        self._closing = Closing()
        self._backoff = Backoff("artifact upload", _logger)

    def sample_image(self, file: Path, epoch: int) -> None:
        """Queue a PNG as artifact `samples/<file name>` and as step `epoch` of image "samples"."""

        def upload(client: "MlflowClient", run_id: str) -> None:
            from PIL import Image

            client.log_artifact(run_id, str(file), "samples")
            with Image.open(file) as image:
                client.log_image(run_id, image, key="samples", step=epoch, synchronous=True)

        self._put(f"samples of epoch {epoch}", upload)

    def file(self, file: Path, directory: str, *, then_delete: bool = False) -> None:
        """Queue a file as artifact `directory`/<file name>; it must stay until it is uploaded."""

        def upload(client: "MlflowClient", run_id: str) -> None:
            client.log_artifact(run_id, str(file), directory)
            if then_delete:
                file.unlink(missing_ok=True)

        self._put(f"{directory}/{file.name}", upload)

    def bundle(self, bundle: Bundle, bundles: Bundles, pending_id: str) -> None:
        """Queue calls about a model or a data set; `pending_id` stands for the run's id in them."""

        def upload(client: "MlflowClient", run_id: str) -> None:
            make_calls(client, run_id, bundle, bundles, pending_id)

        self._put(bundle.description, upload)

    def call(self, description: str, make: "Upload") -> None:
        """Queue a call about the run, which is made as an upload is and can be repeated."""
        self._put(description, make)

    def close(self, within_seconds: float) -> bool:
        """Upload what is left; return whether all of it was done within `within_seconds`."""
        self._closing.request(within_seconds)
        with self._changed:
            self._changed.notify()
        while self.is_alive() and not self._closing.expired():
            self.join(min(_JOIN_SECONDS, self._closing.remaining_seconds()))
        with self._changed:
            left = [description for description, _ in self._waiting]
        if left:
            _logger.error("not uploaded in time: %s", ", ".join(left))
        return not left

    def shorten(self, within_seconds: float) -> None:
        """End `close`, which runs in another thread, within `within_seconds`."""
        self._closing.request(within_seconds)

    def run(self) -> None:
        """Upload until closed and empty, or until the deadline."""
        while True:
            with self._changed:
                while not self._waiting and not self._closing.requested.is_set():
                    self._changed.wait()
                if not self._waiting or self._closing.expired():
                    return
                description, upload = self._waiting[0]
            done = self._try(description, upload)
            with self._changed:
                self._waiting.popleft()
                if not done:
                    self._waiting.append((description, upload))
            if not done:
                self._backoff.wait(self._closing)

    def _put(self, description: str, upload: "Upload") -> None:
        with self._changed:
            if len(self._waiting) >= _MAX_WAITING:
                _logger.error("not uploaded, too many wait already: %s", description)
                return
            self._waiting.append((description, upload))
            self._changed.notify()

    def _try(self, description: str, upload: "Upload") -> bool:
        """Try once; True when done with it, be it uploaded or refused."""
        try:
            client, run_id = self._connection.resolve()
            upload(client, run_id)
        except Exception as error:
            if not is_outage(error):
                _logger.exception("cannot upload %s", description)
                return True
            self._backoff.failed(error)
            return False
        self._backoff.succeeded()
        return True
