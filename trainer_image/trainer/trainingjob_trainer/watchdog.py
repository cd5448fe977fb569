"""Notices that training hangs, and shows where."""

import faulthandler
import logging
import sys
import threading
import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import Protocol

from trainingjob_agent.contract import Contract
from trainingjob_agent.exporter import TrainingMetrics
from trainingjob_agent.monitor.processes import local_ranks
from trainingjob_agent.stacks.collecting import collect, stacks_file

STALLED = "progress/stalled_seconds"
"""MLflow metric: time without a step when a hang was noticed; 0 when training has gone on."""

_LONGEST_LOOK_SECONDS = 5.0
_JOIN_SECONDS = 10.0
"""For stacks that are just being collected; the end of the training waits no longer for them."""

_logger = logging.getLogger(__name__)


class Sink(Protocol):
    """Takes what the watchdog reports, without waiting for MLflow."""

    def log_metrics(self, metrics: Mapping[str, float], *, step: int) -> None:
        """Queue values for the run."""
        ...

    def upload(self, file: Path, directory: str) -> None:
        """Queue a file as an artifact of the run."""
        ...


class Watchdog(threading.Thread):
    """Looks now and then whether there was a step; without one for long it reports that once.

    It does so again when that time has doubled, and when training goes on. It never ends anything.
    Training itself only notes the time.
    """

    def __init__(
        self,
        seconds: float,
        sink: Sink,
        metrics: TrainingMetrics,
        contract: Contract,
        step: Callable[[], int],
    ) -> None:
        """Prepare; `seconds` without a step are a hang, and `step` is the last one."""
        super().__init__(name="watchdog", daemon=True)
        self._seconds = seconds
        self._sink = sink
        self._metrics = metrics
        self._contract = contract
        self._step = step
        self._look_seconds = min(_LONGEST_LOOK_SECONDS, seconds / 4)
        self._stopping = threading.Event()
        self._last_seconds = time.monotonic()
        self._reported_seconds = 0.0

    def __enter__(self) -> None:
        """Training begins."""
        self.alive()
        self._metrics.last_step_age.set_function(self._silent_seconds)
        self.start()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Training is over."""
        self._metrics.last_step_age.set_function(lambda: 0.0)
        self._stopping.set()
        self.join(_JOIN_SECONDS)
        self._report_the_end_of_a_hang()

    def alive(self) -> None:
        """Note that training goes on. Called in each step, so it does no more than that."""
        self._last_seconds = time.monotonic()

    def run(self) -> None:
        """Look until stopped."""
        try:
            while not self._stopping.wait(self._look_seconds):
                self._arm_backstop()
                try:
                    self._look()
                except Exception:
                    _logger.exception("the watchdog cannot report a hang")
        finally:
            faulthandler.cancel_dump_traceback_later()

    def _silent_seconds(self) -> float:
        return time.monotonic() - self._last_seconds

    def _arm_backstop(self) -> None:
        """Have the stacks of this process logged if not even this thread gets to run.

        Native code may keep the interpreter's lock; faulthandler's own thread needs none.
        """
        if sys.__stderr__ is not None:
            faulthandler.dump_traceback_later(self._seconds, file=sys.__stderr__)

    def _look(self) -> None:
        silent = self._silent_seconds()
        if silent < self._seconds:
            self._report_the_end_of_a_hang()
            return
        if silent < 2 * self._reported_seconds:
            return
        if not self._reported_seconds:
            self._metrics.hangs.inc()
        self._reported_seconds = silent
        self._report(silent)
        stacks = collect(stacks_file(), [(f"rank {rank}", pid) for rank, pid in local_ranks()])
        _logger.error("no step for %.0f s; the stacks of all ranks here:\n%s", silent, stacks)
        self._keep(stacks)

    def _report_the_end_of_a_hang(self) -> None:
        if self._reported_seconds:
            _logger.warning("training goes on after more than %.0f s", self._reported_seconds)
            self._report(0.0)
            self._reported_seconds = 0.0

    def _report(self, silent_seconds: float) -> None:
        self._sink.log_metrics({STALLED: round(silent_seconds, 1)}, step=max(1, self._step()))

    def _keep(self, stacks: str) -> None:
        now = datetime.now(UTC).strftime("%Y%m%dT%H%M%S")
        file = stacks_file().with_name(f"{now}.txt")
        file.write_text(stacks, encoding="utf-8")
        self._sink.upload(file, f"stacks/node-{self._contract.node_rank}")
