"""torch's allocator by torch's own statistics; CUDA is where the test's machine has none."""

import pytest
import torch
from prometheus_client import CollectorRegistry, generate_latest
from trainingjob_trainer.allocator import AllocatorReader

from tests.support.gpu_metrics import metrics

STATISTICS = {
    "allocated_bytes.all.current": 2_000_000,
    "allocated_bytes.all.peak": 3_000_000,
    "reserved_bytes.all.current": 4_000_000,
    "num_alloc_retries": 1,
    "num_ooms": 0,
}


@pytest.fixture
def cuda(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """CUDA in use, and the devices that were asked for."""
    asked: list[int] = []

    def memory_stats(device: int) -> dict[str, int]:
        asked.append(device)
        return STATISTICS

    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    monkeypatch.setattr(torch.cuda, "is_initialized", lambda: True)
    monkeypatch.setattr(torch.cuda, "memory_stats", memory_stats)
    return asked


def test_a_rank_reports_what_its_allocator_holds(cuda: list[int]) -> None:
    assert metrics(AllocatorReader(rank=5, local_rank=3).read()) == {
        "rank_5_torch_allocated_megabytes": 2.0,
        "rank_5_torch_allocated_peak_megabytes": 3.0,
        "rank_5_torch_reserved_megabytes": 4.0,
        "rank_5_torch_allocation_retries": 1.0,
    }
    assert cuda == [1]


@pytest.mark.usefixtures("cuda")
def test_prometheus_gets_the_same() -> None:
    registry = CollectorRegistry(auto_describe=False)
    registry.register(AllocatorReader(rank=5, local_rank=1))

    text = generate_latest(registry).decode()

    assert 'trainingjob_torch_reserved_bytes{rank="5"} 4e+06' in text
    assert 'trainingjob_torch_allocation_retries_total{rank="5"} 1.0' in text


def test_without_cuda_in_use_there_are_no_values_and_cuda_stays_untouched() -> None:
    assert AllocatorReader(rank=0, local_rank=0).read() == []
    assert not torch.cuda.is_initialized()  # type: ignore[no-untyped-call]  # torch's
