"""How fast a training is, and how much of what its devices could do that is."""

from dataclasses import dataclass

import torch

from trainingjob_trainer.options import Precision

_TERA = 1e12
_PEAKS: tuple[tuple[str, float, float, float], ...] = (
    ("H100 PCIe", 756, 378, 51),
    ("H100", 989, 495, 67),
    ("H200", 989, 495, 67),
    ("A100", 312, 156, 19.5),
    ("L40S", 362, 183, 91.6),
    ("L4", 121, 60, 30.3),
    ("A10", 125, 62.5, 31.2),
)
"""By a part of the device's name, NVIDIA's data sheets: teraFLOPS of dense matrices in half
precision, in TF32 and in fp32. The first that fits counts."""


@dataclass(frozen=True, slots=True)
class Throughput:
    """Turns what all ranks did in some time into metrics.

    Attributes:
        flops_per_sample: of one forward and backward pass; None: unknown.
        peak_flops: of one rank's device, a second; None: unknown.
        world_size: how many ranks there are.
    """

    flops_per_sample: float | None
    peak_flops: float | None
    world_size: int

    def metrics(self, samples: int, tokens: int, seconds: float) -> dict[str, float]:
        """Return samples and tokens per second, and the utilization, 0…100, if it is known."""
        found = {"perf/samples_per_second": samples / seconds}
        if tokens:
            found["perf/tokens_per_second"] = tokens / seconds
        if self.flops_per_sample is not None and self.peak_flops is not None:
            possible = self.peak_flops * self.world_size * seconds
            done = self.flops_per_sample * samples
            found["perf/model_flops_utilization_percentage"] = 100 * done / possible
        return found


def peak_flops_of(device: torch.device, precision: Precision) -> float | None:
    """Return what a GPU can do a second in this precision; None of one that is not known."""
    if device.type != "cuda":
        return None
    tf32 = torch.backends.cuda.matmul.allow_tf32
    return peak_flops_by_name(torch.cuda.get_device_name(device), precision, tf32=tf32)


def peak_flops_by_name(name: str, precision: Precision, *, tf32: bool) -> float | None:
    """Return the same for a GPU by its name; fp32 may be computed as TF32."""
    for part, half, in_tf32, single in _PEAKS:
        if part in name:
            in_fp32 = in_tf32 if tf32 else single
            return _TERA * (in_fp32 if precision == "fp32" else half)
    return None
