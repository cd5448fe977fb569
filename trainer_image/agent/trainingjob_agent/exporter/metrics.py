"""The Prometheus metrics of the training and its node."""

from collections.abc import Iterable, Iterator

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from trainingjob_agent.monitor import Kind, Reading, SystemSample

_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0)


class TrainingMetrics:
    """What the loop and the monitor report. Base units; the exporter adds the labels of the job."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        r = self.registry
        self.steps = Counter("trainingjob_steps", "Optimizer steps done", registry=r)
        self.epoch = Gauge("trainingjob_epoch", "Epoch under way, from 1", registry=r)
        self.progress = Gauge("trainingjob_progress_ratio", "Share of steps done", registry=r)
        self.loss = Gauge("trainingjob_loss", "Last reported loss", ["phase"], registry=r)
        self.samples = Counter(
            "trainingjob_samples", "Images that this rank trained on", registry=r
        )
        self.samples_per_second = Gauge(
            "trainingjob_samples_per_second",
            "Images that this rank trains on per second",
            registry=r,
        )
        self.step_duration = Histogram(
            "trainingjob_step_duration_seconds",
            "Time of one training step, waiting for data included",
            buckets=_SECONDS,
            registry=r,
        )
        self.data_wait = Histogram(
            "trainingjob_data_wait_seconds",
            "Time in one training step that it waited for its batches",
            buckets=(0.0001, 0.001, *_SECONDS),
            registry=r,
        )
        self.hangs = Counter(
            "trainingjob_hangs", "Times that no step came for --hang-seconds", registry=r
        )
        self.last_step_age = Gauge(
            "trainingjob_last_step_age_seconds",
            "Time since the last step or batch of validation; 0 before and after training",
            registry=r,
        )
        self._system = SystemMetrics()
        r.register(self._system)

    def observe_system(self, sample: SystemSample) -> None:
        """Show a sample of the system monitor, until the next."""
        self._system.show(sample)


class SystemMetrics(Collector):
    """The last sample of the node. What it lacks is not shown, so no series goes stale."""

    def __init__(self) -> None:
        self._sample: SystemSample | None = None

    def show(self, sample: SystemSample) -> None:
        """Show a sample, until the next."""
        self._sample = sample

    def collect(self) -> Iterator[Metric]:
        """Give one metric for each quantity, in the order of the sample."""
        yield from metrics_of(self._sample.readings if self._sample else ())


def metrics_of(readings: Iterable[Reading]) -> Iterable[Metric]:
    """Return one metric for each quantity that Prometheus gets, in the order of the readings."""
    families: dict[str, GaugeMetricFamily | CounterMetricFamily] = {}
    for reading in readings:
        quantity = reading.quantity
        if not quantity.prometheus:
            continue
        if quantity.prometheus not in families:
            kind = CounterMetricFamily if quantity.kind is Kind.COUNTER else GaugeMetricFamily
            families[quantity.prometheus] = kind(
                quantity.prometheus, quantity.help, labels=quantity.labels
            )
        families[quantity.prometheus].add_metric(reading.labels, reading.value)
    return families.values()
