"""The thread that puts the output of a script into its run, every minute and at the end."""

import logging
import threading
from pathlib import Path

from trainingjob_agent.contract import Contract
from trainingjob_agent.delivery.connection import RunConnection
from trainingjob_agent.logs.output import Output

_EVERY_SECONDS = 60.0
_JOIN_SECONDS = 2.0

_logger = logging.getLogger(__name__)


class LogKeeper(threading.Thread):
    """Uploads `logs/attempt-<attempt>/node-<rank>.txt`; what fails is tried a minute later."""

    def __init__(
        self,
        output: Output,
        contract: Contract,
        connection: RunConnection,
        directory: Path,
        every_seconds: float = _EVERY_SECONDS,
    ) -> None:
        super().__init__(name="log-keeper", daemon=True)
        self._output = output
        self._connection = connection
        self._every_seconds = every_seconds
        self._ended = threading.Event()
        self._failing = False
        self.file = directory / f"node-{contract.node_rank}.txt"
        self.folder = f"logs/attempt-{contract.attempt}"
        """Where the file goes in the run's artifacts."""

    def run(self) -> None:
        """Upload until ended; the last time is left to who ends it."""
        waiting = False
        while not self._ended.wait(self._every_seconds):
            try:
                waiting |= self._output.save(self.file)
                if waiting:
                    client, run_id = self._connection.resolve()
                    client.log_artifact(run_id, str(self.file), self.folder)
            except Exception as error:  # noqa: BLE001 - MLflow's client raises anything; the next try is near
                if not self._failing:
                    _logger.warning("cannot upload the log, retrying: %s", error)
                self._failing = True
            else:
                waiting = self._failing = False

    def end(self) -> bool:
        """Write the whole output to `file`, which is then to be uploaded; False without any."""
        self._ended.set()
        self.join(_JOIN_SECONDS)
        try:
            self._output.save(self.file, complete=True)
        except OSError:
            _logger.exception("the log of this attempt is not in the run")
        return self.file.exists()
