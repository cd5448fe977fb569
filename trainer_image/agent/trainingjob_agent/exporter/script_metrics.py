"""What a script logs to the job's run, for Prometheus."""

from collections.abc import Iterator

from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

_MAX_METRICS = 200
"""A script may well have one name for each layer of its model; each is a time series."""

_STEP_IS_TIME = ("progress/", "system/")
"""Begin the names of what is reported for the script, and not logged by it at a step."""

_PERCENTAGE = "progress/percentage"
_EPOCH = "progress/epoch"
_STEP = "progress/step"


class ScriptMetrics(Collector):
    """The latest value of each metric, of the first 200; nothing before the script logs."""

    def __init__(self) -> None:
        self._latest: dict[str, float] = {}
        self._step: int | None = None

    def show(self, key: str, value: float, step: int) -> None:
        """Show a value until the next of the same key, and the step if none was higher."""
        if key in self._latest or len(self._latest) < _MAX_METRICS:
            self._latest[key] = value
        if key == _STEP:
            step = int(value)
        elif key.startswith(_STEP_IS_TIME):
            return
        if self._step is None or step > self._step:
            self._step = step

    def collect(self) -> Iterator[Metric]:
        """Give the values of the script under one name, and those that the trainer has, too."""
        latest = dict(self._latest)
        if not latest:
            return
        if self._step is not None:
            yield GaugeMetricFamily(
                "trainingjob_step", "Highest step that the script has logged", self._step
            )
        if _PERCENTAGE in latest:
            ratio = latest[_PERCENTAGE] / 100
            yield GaugeMetricFamily("trainingjob_progress_ratio", "Share of steps done", ratio)
        if _EPOCH in latest:
            epoch = latest[_EPOCH]
            yield GaugeMetricFamily("trainingjob_epoch", "Epoch under way, from 1", epoch)
        family = GaugeMetricFamily(
            "trainingjob_script_metric",
            "Latest value of a metric of a script",
            labels=["metric"],
        )
        for key, value in latest.items():
            family.add_metric([key], value)
        yield family
