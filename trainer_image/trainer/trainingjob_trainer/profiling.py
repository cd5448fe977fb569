"""Traces of some steps, by torch.profiler."""

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import torch
from torch.profiler import ProfilerActivity, profile

from trainingjob_trainer.reading import StepRange

_ROWS = 30

_logger = logging.getLogger(__name__)


class StepProfiler:
    """Writes a trace of `steps` and a table of what took the longest; None: of nothing.

    An error is logged, and never ends training.
    """

    def __init__(
        self,
        steps: StepRange | None,
        device: torch.device,
        directory: Path,
        written: Callable[[Path], None],
    ) -> None:
        """Prepare; `written` gets each file in `directory`."""
        self._steps = steps
        self._device = device
        self._directory = directory
        self._written = written
        self._profile: profile | None = None

    def before(self, step: int) -> None:
        """Begin with the first of the steps; a resumed training may do so later."""
        if self._steps is None or self._profile is not None or step not in self._steps:
            return
        activities = [ProfilerActivity.CPU]
        if self._device.type == "cuda":
            activities.append(ProfilerActivity.CUDA)
        with self._harmless():
            begun = profile(activities=activities, record_shapes=True)
            begun.start()
            self._profile = begun

    def after(self, step: int) -> None:
        """Write the files after the last of the steps."""
        if self._steps is not None and step >= self._steps.last:
            self.end()

    def end(self) -> None:
        """Write what there is, if a trace has begun."""
        ended, self._profile = self._profile, None
        if ended is None:
            return
        with self._harmless():
            ended.stop()
            self._write(ended)

    def _write(self, ended: profile) -> None:
        self._directory.mkdir(parents=True, exist_ok=True)
        name = f"steps_{self._steps}".replace(":", "-")
        trace = self._directory / f"{name}.json.gz"
        ended.export_chrome_trace(str(trace))
        table = trace.with_name(f"{name}.txt")
        longest = f"self_{self._device.type}_time_total"
        table.write_text(ended.key_averages().table(sort_by=longest, row_limit=_ROWS))
        for file in (trace, table):
            self._written(file)
        _logger.info("the trace of steps %s is in %s", self._steps, trace)

    @contextmanager
    def _harmless(self) -> Iterator[None]:
        """Keep an error to the profiler, which does not try again."""
        try:
            yield
        except Exception:
            _logger.exception("no trace of steps %s", self._steps)
            self._steps = None
