"""Prometheus metrics of all ranks of a node, served over HTTP by the first of them."""

import logging
from collections.abc import Iterable, Iterator, Mapping

from prometheus_client import CollectorRegistry
from prometheus_client.core import Metric
from prometheus_client.registry import Collector

from trainingjob_agent.contract import Contract
from trainingjob_agent.exporter.listening import MetricsServer
from trainingjob_agent.exporter.ranks import OtherRanks, RankServer

_logger = logging.getLogger(__name__)


class JobLabels(Collector):
    """Adds the same labels to all samples of other collectors.

    Without the times at which series began: each would be one more series.
    """

    def __init__(self, labels: Mapping[str, str], collectors: Iterable[Collector]) -> None:
        self._labels = dict(labels)
        self._collectors = tuple(collectors)

    def collect(self) -> Iterator[Metric]:
        """Collect all, labelled."""
        for collector in self._collectors:
            for metric in collector.collect():
                metric.samples = [
                    sample._replace(labels={**self._labels, **sample.labels})
                    for sample in metric.samples
                    if not sample.name.endswith("_created")
                ]
                yield metric


class Together(Collector):
    """Merges metrics of the same name into one: a scrape may contain each name only once."""

    def __init__(self, collectors: Iterable[Collector]) -> None:
        self._collectors = tuple(collectors)

    def collect(self) -> Iterator[Metric]:
        """Collect all, the samples of one metric side by side."""
        found: dict[str, Metric] = {}
        for collector in self._collectors:
            for metric in collector.collect():
                if metric.name in found:
                    found[metric.name].samples.extend(metric.samples)
                else:
                    found[metric.name] = metric
        yield from found.values()


class Exporter:
    """The metrics of one process; the first rank of a node serves those of the others, too."""

    def __init__(self, contract: Contract, collectors: Iterable[Collector]) -> None:
        self._port = contract.metrics_port
        labels = {
            "job": contract.name,
            "namespace": contract.namespace,
            "attempt": str(contract.attempt),
            "rank": str(contract.rank),
        }
        own = JobLabels(labels, collectors)
        self._registry = CollectorRegistry(auto_describe=False)
        self._to_first: RankServer | None = None
        if contract.local_rank == 0:
            others = OtherRanks(range(1, contract.local_world_size))
            self._registry.register(Together([own, others]))
        else:
            self._registry.register(own)
            self._to_first = RankServer(contract.local_rank, self._registry)
        self._server: MetricsServer | None = None

    def start(self) -> None:
        """Serve; what cannot be had is logged, training goes on without."""
        if self._port is None:
            return
        if self._to_first:
            self._to_first.start()
            return
        try:
            self._server = MetricsServer(self._port, self._registry)
        except (OSError, OverflowError) as error:  # the latter is a port above 65535
            _logger.warning("no Prometheus metrics on port %d: %s", self._port, error)
            return
        self._server.start()
        _logger.info("Prometheus metrics on port %d at /metrics", self._port)

    def stop(self) -> None:
        """Close the port."""
        if self._to_first:
            self._to_first.stop()
        if self._server:
            self._server.stop()
