"""What torch holds of a GPU, as a process of a script reports it."""

from collections.abc import Mapping
from pathlib import Path
from types import SimpleNamespace

import torch
from trainingjob_agent.supervisor.allocator import Allocator, allocator_of, metrics_of
from trainingjob_agent.supervisor.jobs_run import JobsRun

STATS = {
    "allocated_bytes.all.current": 1_500_000_000,
    "allocated_bytes.all.peak": 2_000_000_000,
    "allocated_bytes.large_pool.peak": 1_900_000_000,
    "reserved_bytes.all.current": 4_000_000_000,
    "num_alloc_retries": 3,
}
METRICS = {
    "torch_allocated_megabytes": 1500.0,
    "torch_allocated_peak_megabytes": 2000.0,
    "torch_reserved_megabytes": 4000.0,
    "torch_allocation_retries": 3,
}


def torch_with(stats: Mapping[str, int], *, initialized: bool = True) -> SimpleNamespace:
    """What the script has imported, on a machine with a GPU."""
    return SimpleNamespace(
        cuda=SimpleNamespace(is_initialized=lambda: initialized, memory_stats=lambda: stats)
    )


def test_it_is_reported_every_ten_seconds_from_the_first_use_of_the_gpu_on() -> None:
    reported: list[dict[str, float]] = []
    clock = iter([0.0, 1.0, 2.0, 3.0, 12.9, 13.0])
    allocator = Allocator(reported.append, lambda: next(clock))
    counts = []
    for modules in (
        {},
        {"torch": SimpleNamespace()},  # another thread is just importing it
        {"torch": torch_with(STATS, initialized=False)},
        {"torch": torch_with(STATS)},
        {"torch": torch_with(STATS)},  # after 9.9 s
        {"torch": torch_with(STATS)},
    ):
        allocator.report(modules)
        counts.append(len(reported))

    assert counts == [0, 0, 0, 1, 1, 2]
    assert reported == [METRICS, METRICS]


def test_an_allocator_that_counts_less_says_less() -> None:
    assert metrics_of({"reserved_bytes.all.current": 1_000_000}) == {
        "torch_reserved_megabytes": 1.0
    }
    assert metrics_of({}) == {}


def test_this_torch_knows_these_names() -> None:
    """Those of torch's own page, which the metrics are made from."""
    page = str(torch.cuda.memory_stats.__doc__)
    assert "allocated_bytes.{all,large_pool,small_pool}.{current,peak,allocated,freed}" in page
    assert "reserved_bytes.{all,large_pool,small_pool}.{current,peak,allocated,freed}" in page
    assert '"num_alloc_retries"' in page


def test_each_rank_reports_under_its_own_name(tmp_path: Path) -> None:
    job = JobsRun(tmp_path, "http://mlflow", run_id="abc")
    job.outbox.mkdir()

    allocator_of(job).log({"torch_reserved_megabytes": 1.0})

    [file] = [one for one in job.outbox.rglob("*") if one.is_file()]
    assert "system/rank_0_torch_reserved_megabytes" in file.read_text(errors="replace")
