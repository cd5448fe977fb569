"""What torch's allocator holds on the GPU of this process: the driver knows only the sum."""

from collections.abc import Iterator

import torch
from prometheus_client.core import Metric
from prometheus_client.registry import Collector
from trainingjob_agent.exporter import metrics_of
from trainingjob_agent.monitor import Reading
from trainingjob_agent.monitor import quantities as q

_STATISTICS = {
    q.TORCH_ALLOCATED: "allocated_bytes.all.current",
    q.TORCH_ALLOCATED_PEAK: "allocated_bytes.all.peak",
    q.TORCH_RESERVED: "reserved_bytes.all.current",
    q.TORCH_RETRIES: "num_alloc_retries",
}
"""By their names in torch.cuda.memory_stats."""


class AllocatorReader(Collector):
    """Reads the allocator of one rank, for the monitor or for Prometheus.

    It never initializes CUDA: a training on the CPU, or one that has not begun, has no values.
    """

    def __init__(self, rank: int, local_rank: int) -> None:
        self._label = (str(rank),)
        self._local_rank = local_rank

    def read(self) -> list[Reading]:
        """Read it now; nothing without CUDA in use."""
        if not torch.cuda.is_initialized():  # type: ignore[no-untyped-call]  # torch has no annotation here
            return []
        device = self._local_rank % torch.cuda.device_count()  # as the training chooses it
        statistics = torch.cuda.memory_stats(device)
        return [
            Reading(quantity, statistics[name], self._label)
            for quantity, name in _STATISTICS.items()
            if name in statistics
        ]

    def collect(self) -> Iterator[Metric]:
        """Give Prometheus the same."""
        yield from metrics_of(self.read())
