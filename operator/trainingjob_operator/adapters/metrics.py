"""The operator's Prometheus metrics, in a registry of their own."""

from __future__ import annotations

from typing import TYPE_CHECKING

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, ProcessCollector
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from prometheus_client import Metric

PREFIX = "trainingjob_operator"
FAST_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30)


class OperatorMetrics:
    """All metrics; gauges whose value lives elsewhere are read when they are scraped."""

    def __init__(self, version: str) -> None:
        self.registry = CollectorRegistry()
        ProcessCollector(registry=self.registry)
        self.build_info = self._gauge("build_info", "Always 1, labelled by version.", "version")
        self.build_info.labels(version).set(1)
        self.leader = self._gauge("leader", "1 while this replica leads, else 0.")
        self.foreign_namespaces = self._gauge(
            "foreign_namespaces", "Namespaces that another installation serves."
        )
        self._outcomes()
        self._reconcile()
        self._queue()
        self._kube()
        self._mlflow()

    def on_request(self, verb: str, plural: str, code: int, seconds: float) -> None:
        """Count one Kubernetes request, code 0 being one without an answer."""
        self.kube_requests.labels(verb, plural, str(code)).inc()
        self.kube_request_duration.labels(verb, plural).observe(seconds)

    def on_mlflow_call(self, endpoint: str, outcome: str, seconds: float) -> None:
        """Count one MLflow call."""
        self.mlflow_calls.labels(endpoint, outcome).inc()
        self.mlflow_call_duration.labels(endpoint).observe(seconds)

    def on_reconcile(self, result: str, seconds: float) -> None:
        """Count one reconcile by its result; "error" also counts as an error."""
        self.reconciles.labels(result).inc()
        self.reconcile_duration.observe(seconds)
        if result == "error":
            self.on_error("reconcile")

    def on_error(self, loop: str) -> None:
        """Count an error that a loop confined to one key, run or server."""
        self.errors.labels(loop).inc()

    def observe_queue(self, depth: Callable[[], float]) -> None:
        """Read the queue's depth from `depth` at every scrape."""
        self.workqueue_depth.set_function(depth)

    def observe_informer(self, plural: str, age: Callable[[], float]) -> None:
        """Read the seconds since an informer's last contact from `age` at every scrape."""
        self.informer_age.labels(plural).set_function(age)

    def observe_leader(self, is_leader: Callable[[], bool]) -> None:
        """Read whether this replica leads at every scrape."""
        self.leader.set_function(is_leader)

    def observe_foreign_namespaces(self, count: Callable[[], float]) -> None:
        """Read the number of namespaces that other installations serve at every scrape."""
        self.foreign_namespaces.set_function(count)

    def observe_jobs(self, count: Callable[[], Mapping[str, int]]) -> None:
        """Read the number of TrainingJobs by state at every scrape."""
        self.registry.register(
            _Sums("trainingjobs", "TrainingJobs by their state.", "state", count)
        )

    def observe_goodput(self, seconds: Callable[[], Mapping[str, int]]) -> None:
        """Read the seconds of all TrainingJobs by phase at every scrape."""
        text = "Time of all existing TrainingJobs by phase."
        self.registry.register(_Sums("goodput_seconds", text, "phase", seconds))

    def on_restart(self, reason: str, charged: bool) -> None:
        """Count an attempt that another one follows; a disruption is not charged."""
        self.restarts.labels(reason, str(charged).lower()).inc()

    def on_failure(self, reason: str) -> None:
        """Count a TrainingJob that failed for good."""
        self.failures.labels(reason).inc()

    def _outcomes(self) -> None:
        self.restarts = self._counter(
            "restarts",
            "Attempts that another one follows, by the reason of their end.",
            "reason",
            "charged",
        )
        self.failures = self._counter(
            "failures", "TrainingJobs that failed for good, by their reason.", "reason"
        )

    def _reconcile(self) -> None:
        self.reconciles = self._counter("reconcile", "Reconciles by their result.", "result")
        self.errors = self._counter(
            "errors", "Errors that a loop confined to one key, run or server.", "loop"
        )
        self.reconcile_duration = self._histogram(
            "reconcile_duration_seconds", "Duration of a reconcile."
        )

    def _queue(self) -> None:
        self.workqueue_depth = self._gauge(
            "workqueue_depth", "TrainingJobs that wait for a worker."
        )
        self.informer_age = self._gauge(
            "informer_age_seconds", "Time since the API server last sent anything.", "resource"
        )

    def _kube(self) -> None:
        self.kube_requests = self._counter(
            "kube_requests",
            "Kubernetes requests; code 0 is one without an answer.",
            "verb",
            "resource",
            "code",
        )
        self.kube_request_duration = self._histogram(
            "kube_request_duration_seconds",
            "Time to the answer, of a watch to its opening.",
            "verb",
            "resource",
        )

    def _mlflow(self) -> None:
        self.mlflow_calls = self._counter(
            "mlflow_calls", "MLflow calls by their outcome.", "endpoint", "outcome"
        )
        self.mlflow_call_duration = self._histogram(
            "mlflow_call_duration_seconds", "Duration of an MLflow call.", "endpoint"
        )
        self.mlflow_status_corrections = self._counter(
            "mlflow_status_corrections",
            "Statuses of runs that another client had written and the operator corrected.",
            "from",
            "to",
        )
        self.orphaned_runs = self._counter(
            "orphaned_runs", "Runs that the operator closed because their job is gone."
        )

    def _counter(self, name: str, text: str, *labels: str) -> Counter:
        return Counter(f"{PREFIX}_{name}", text, labels, registry=self.registry)

    def _gauge(self, name: str, text: str, *labels: str) -> Gauge:
        return Gauge(f"{PREFIX}_{name}", text, labels, registry=self.registry)

    def _histogram(self, name: str, text: str, *labels: str) -> Histogram:
        return Histogram(
            f"{PREFIX}_{name}", text, labels, registry=self.registry, buckets=FAST_SECONDS
        )


class _Sums(Collector):
    """A gauge whose values by one label are read at every scrape."""

    def __init__(
        self, name: str, text: str, label: str, values: Callable[[], Mapping[str, int]]
    ) -> None:
        self._name = name
        self._text = text
        self._label = label
        self._values = values

    def describe(self) -> Iterable[Metric]:
        return [self._family()]

    def collect(self) -> Iterable[Metric]:
        family = self._family()
        for value, number in self._values().items():
            family.add_metric([value], number)
        return [family]

    def _family(self) -> GaugeMetricFamily:
        return GaugeMetricFamily(f"{PREFIX}_{self._name}", self._text, labels=[self._label])
