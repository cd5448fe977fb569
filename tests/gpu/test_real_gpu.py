"""On one machine with CUDA, in less than five minutes: what stubs and the CPU cannot show."""

import json
import statistics
import sys
import time
from collections.abc import Mapping
from contextlib import nullcontext

import pytest
import torch
from trainingjob_agent.monitor import Reading, SystemMonitor
from trainingjob_agent.monitor.gpu import GpuSampler
from trainingjob_agent.monitor.gpu import quantities as q

from tests.bench.report import report
from tests.gpu.machine import Gpu
from tests.support.pod_process import Trainer
from tests.support.processes import MlflowServer

MEBIBYTE = 1 << 20
SECONDS = 180


def values(readings: list[Reading], label: str) -> dict[str, float]:
    """Of one GPU, by the name of the Prometheus metric."""
    mine = (one for one in readings if one.labels[:1] == (label,))
    return {one.quantity.prometheus: one.value for one in mine}


def test_the_monitor_shows_what_nvidia_smi_shows(real_gpus: list[Gpu]) -> None:
    sampler = GpuSampler()
    readings = sampler.sample(30)

    assert sampler.identities(), "the monitor sees no GPU"
    for one in sampler.identities():
        gpu = real_gpus[one.index]
        assert (one.uuid, one.name, one.driver) == (gpu.uuid, gpu.name, gpu.driver)
        assert one.pci_address.lower() == gpu.pci_address.lower()
        found = values(readings, str(one.index))
        assert found[q.LOST.prometheus] == 0
        capacity = found[q.MEMORY_CAPACITY.prometheus] / MEBIBYTE
        assert capacity == pytest.approx(gpu.capacity_mebibytes, abs=2)
        # NVML counts what the driver keeps for itself as used; nvidia-smi shows it beside.
        used = (gpu.used_mebibytes or 0.0) + (gpu.reserved_mebibytes or 0.0)
        assert found[q.MEMORY_USED.prometheus] / MEBIBYTE == pytest.approx(used, abs=512)
        assert found[q.TEMPERATURE.prometheus] == pytest.approx(gpu.celsius, abs=10)
        if gpu.power_limit_watts is not None:
            limit = found[q.POWER_LIMIT.prometheus]
            assert limit == pytest.approx(gpu.power_limit_watts, abs=1)


BUSY = """
import time, mlflow, torch
held = torch.ones(2**30, dtype=torch.uint8, device="cuda")
matrix = torch.rand(4096, 4096, device="cuda", dtype=torch.bfloat16)
end = time.monotonic() + 15
while time.monotonic() < end:
    for _ in range(20):
        matrix @ matrix
    torch.cuda.synchronize()
mlflow.log_metric("rounds", 1)
"""


@pytest.mark.usefixtures("real_gpus")
def test_a_cuda_script_under_exec_is_seen_at_work(
    trainer: Trainer, mlflow_server: MlflowServer, run_id: str
) -> None:
    process = trainer.execute(
        *(sys.executable, "-c", BUSY),
        CUDA_VISIBLE_DEVICES="0",
        MLFLOW_TRACKING_URI=mlflow_server.uri,
        TRAININGJOB_MLFLOW_RUN_ID=run_id,
        TRAININGJOB_OPTION_MONITOR_LEVEL="full",
    )
    _, errors = process.communicate(timeout=SECONDS)

    assert process.returncode == 0, errors.decode()
    client = mlflow_server.client

    def most(name: str) -> float:
        history = client.get_metric_history(run_id, f"system/gpu_0_{name}")
        return max((point.value for point in history), default=0.0)

    assert most("utilization_percentage") > 50
    assert most("memory_usage_megabytes") > 1000
    run = client.get_run(run_id)
    assert run.data.tags["trainingjob.gpus"].startswith("GPU 0 (GPU-")
    assert not [name for name in run.data.metrics if name.startswith("system/gpu_1_")]
    assert run.data.metrics["system/rank_0_torch_allocated_megabytes"] > 1000


@pytest.mark.parametrize("parallel", ["ddp", "fsdp2"])
@pytest.mark.usefixtures("real_gpus")
def test_training_in_bf16(
    trainer: Trainer, mlflow_server: MlflowServer, run_id: str, parallel: str
) -> None:
    code, output = trainer.run(
        *("mnist", "--epochs", "2", "--precision", "bf16", "--parallel", parallel),
        CUDA_VISIBLE_DEVICES="0",
        MLFLOW_TRACKING_URI=mlflow_server.uri,
        TRAININGJOB_MLFLOW_RUN_ID=run_id,
    )

    assert code == 0, output
    run = mlflow_server.client.get_run(run_id)
    assert run.data.params["precision"] == "bf16"
    assert run.data.params["device"].startswith("cuda")
    assert run.data.metrics["val/accuracy"] >= 0.9
    assert run.data.metrics["system/rank_0_torch_allocated_peak_megabytes"] > 1


TOO_MUCH = """
import torch
held = [torch.empty(2**30, dtype=torch.uint8, device="cuda") for _ in range(10_000)]
"""


@pytest.mark.usefixtures("real_gpus")
def test_cuda_out_of_memory_is_explained(trainer: Trainer) -> None:
    process = trainer.execute(sys.executable, "-c", TOO_MUCH, CUDA_VISIBLE_DEVICES="0")
    _, errors = process.communicate(timeout=SECONDS)

    assert process.returncode == 1, errors.decode()
    reported = json.loads(trainer.termination_log.read_text())
    assert reported["reason"] == "CudaOutOfMemory"
    assert (
        "Tried to allocate 1024.00 MiB" in reported["message"] or "1.00 GiB" in reported["message"]
    )


class Nowhere:
    """Takes what the monitor logs: delivery needs no GPU and is measured elsewhere."""

    def log_metrics(
        self,
        metrics: Mapping[str, float],
        *,
        step: int,
        timestamp_milliseconds: int | None = None,
        run_id: str | None = None,
        patience_seconds: float = 0.0,
    ) -> None: ...

    def set_tags(self, tags: Mapping[str, str]) -> None: ...


class Watched:
    """A monitor that takes ten times as many samples as by default."""

    def __enter__(self) -> None:
        self._monitor = SystemMonitor(Nowhere(), interval_seconds=1.0)
        self._monitor.start()

    def __exit__(self, *_: object) -> None:
        self._monitor.stop()


ROUNDS, BLOCK_SECONDS = 4, 6.0


@pytest.mark.usefixtures("real_gpus")
def test_a_step_on_the_gpu_beside_the_monitor() -> None:
    matrix = torch.rand(2048, 2048, device="cuda", dtype=torch.bfloat16)
    kinds = {"no monitor": nullcontext, "ours, with a sample every 1 s": Watched}
    steps: dict[str, list[float]] = {kind: [] for kind in kinds}
    other_cpu = dict.fromkeys(kinds, 0.0)
    for turn in range(ROUNDS + 1):
        for kind, beside in kinds.items():
            with beside():
                times, cpu = block(matrix)
            if turn > 0:  # the first turn warms up
                steps[kind] += times
                other_cpu[kind] += cpu

    base = statistics.median(steps["no monitor"])
    report(
        "gpu-monitor",
        f"A step on {torch.cuda.get_device_name()}",
        ("median step", "beside none", "a core's share of other threads"),
        *(
            (
                kind,
                f"{1e3 * statistics.median(times):.3f} ms",
                f"{100 * (statistics.median(times) / base - 1):+.2f} %",
                f"{100 * other_cpu[kind] / (ROUNDS * BLOCK_SECONDS):.3f} %",
            )
            for kind, times in steps.items()
        ),
    )
    assert all(steps.values())


def block(matrix: torch.Tensor) -> tuple[list[float], float]:
    """Step for some seconds; return the time of each step, and the CPU time of other threads."""
    times: list[float] = []
    cpu = time.process_time() - time.thread_time()
    end = time.perf_counter() + BLOCK_SECONDS
    while (began := time.perf_counter()) < end:
        for _ in range(10):
            torch.mm(matrix, matrix)
        torch.cuda.synchronize()
        times.append(time.perf_counter() - began)
    return times, time.process_time() - time.thread_time() - cpu
