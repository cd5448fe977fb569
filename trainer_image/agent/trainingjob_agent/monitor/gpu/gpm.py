"""Activity of the parts of a GPU, by its performance monitors (GPM, from Hopper on)."""

from collections.abc import Callable
from typing import Any

from trainingjob_agent.monitor.gpu import quantities as q
from trainingjob_agent.monitor.quantity import Quantity, Reading

_METRICS: tuple[tuple[str, Quantity], ...] = (
    ("NVML_GPM_METRIC_GRAPHICS_UTIL", q.GRAPHICS_ACTIVE),
    ("NVML_GPM_METRIC_SM_UTIL", q.SM_ACTIVE),
    ("NVML_GPM_METRIC_SM_OCCUPANCY", q.SM_OCCUPANCY),
    ("NVML_GPM_METRIC_ANY_TENSOR_UTIL", q.TENSOR_ACTIVE),
    ("NVML_GPM_METRIC_DRAM_BW_UTIL", q.DRAM_ACTIVE),
)


class GpmReader:
    """Means over the time between two readings, of one GPU or of one of its MIG instances."""

    def __init__(self, nvml: Any, label: str, take: Callable[[Any], object]) -> None:
        """Prepare.

        Args:
            nvml: what answers NVML's calls.
            label: of the device in readings.
            take: fills an allocated sample with the counters of now.
        """
        self._nvml = nvml
        self._label = label
        self._take = take
        self._last: Any = None

    def read(self) -> list[Reading]:
        """Read all that the device has; nothing the first time.

        Raises:
            NVMLError: the counters cannot be read.
        """
        nvml = self._nvml
        now = nvml.nvmlGpmSampleAlloc()
        try:
            self._take(now)
        except nvml.NVMLError:
            nvml.nvmlGpmSampleFree(now)
            raise
        last, self._last = self._last, now
        if last is None:
            return []
        try:
            return self._compare(last, now)
        finally:
            nvml.nvmlGpmSampleFree(last)

    def _compare(self, last: Any, now: Any) -> list[Reading]:
        nvml = self._nvml
        request = nvml.c_nvmlGpmMetricsGet_t()
        request.version = nvml.NVML_GPM_METRICS_GET_VERSION
        request.numMetrics = len(_METRICS)
        request.sample1, request.sample2 = last, now
        for position, (name, _) in enumerate(_METRICS):
            request.metrics[position].metricId = getattr(nvml, name)
        nvml.nvmlGpmMetricsGet(request)
        answers = zip(request.metrics[: len(_METRICS)], _METRICS, strict=True)
        return [
            Reading(quantity, answer.value / 100, (self._label,))
            for answer, (_, quantity) in answers
            if answer.nvmlReturn == nvml.NVML_SUCCESS
        ]
