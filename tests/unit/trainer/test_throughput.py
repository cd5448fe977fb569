"""How fast a training is, of what its devices could do."""

import pytest
import torch
from trainingjob_trainer.options import Precision
from trainingjob_trainer.tasks.text import TextTask
from trainingjob_trainer.throughput import Throughput, peak_flops_by_name


@pytest.mark.parametrize(
    ("throughput", "tokens", "expected"),
    [
        (Throughput(None, 1e9, 2), 0, {"perf/samples_per_second": 50.0}),
        (
            Throughput(2e6, None, 2),
            6400,
            {"perf/samples_per_second": 50.0, "perf/tokens_per_second": 3200.0},
        ),
        (
            Throughput(2e6, 1e9, 2),
            0,
            {"perf/samples_per_second": 50.0, "perf/model_flops_utilization_percentage": 5.0},
        ),
    ],
    ids=["of unknown cost", "on an unknown device", "both known"],
)
def test_the_utilization_needs_cost_and_device(
    throughput: Throughput, tokens: int, expected: dict[str, float]
) -> None:
    assert throughput.metrics(samples=100, tokens=tokens, seconds=2.0) == expected


@pytest.mark.parametrize(
    ("name", "precision", "tf32", "expected"),
    [
        ("NVIDIA H100 80GB HBM3", "bf16", False, 989e12),
        ("NVIDIA H100 PCIe", "bf16", False, 756e12),
        ("NVIDIA H200", "fp16", False, 989e12),
        ("NVIDIA A100-SXM4-40GB", "fp32", False, 19.5e12),
        ("NVIDIA A100-SXM4-40GB", "fp32", True, 156e12),
        ("NVIDIA L40S", "fp32", False, 91.6e12),
        ("NVIDIA L4", "bf16", False, 121e12),
        ("AMD Instinct MI300X", "bf16", False, None),
    ],
)
def test_what_a_gpu_can_do_is_known_by_its_name(
    name: str, precision: Precision, tf32: bool, expected: float | None
) -> None:
    assert peak_flops_by_name(name, precision, tf32=tf32) == expected


def test_the_text_task_costs_what_torch_counts() -> None:
    from torch.utils.flop_counter import FlopCounterMode

    task = TextTask(length=16, width=8)
    model, batch = task.build_model(), torch.zeros(4, 17, dtype=torch.int64)
    with FlopCounterMode(display=False) as counted:
        task.loss(task.forward(model, batch), batch).backward()  # type: ignore[no-untyped-call]  # torch's

    assert task.tokens(batch) == 4 * 16
    # Backwards, the first layer has no input to find a gradient of, which torch leaves out.
    assert 4 * task.flops_per_sample() == pytest.approx(counted.get_total_flops(), rel=0.05)
