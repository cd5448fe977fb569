"""The GPUs of this machine, as `nvidia-smi` shows them: another program than ours."""

import csv
import shutil
import subprocess
from dataclasses import dataclass

import torch

_FIELDS = {
    "index": "index",
    "uuid": "uuid",
    "pci_address": "pci.bus_id",
    "name": "name",
    "driver": "driver_version",
    "capacity_mebibytes": "memory.total",
    "used_mebibytes": "memory.used",
    "reserved_mebibytes": "memory.reserved",
    "power_limit_watts": "enforced.power.limit",
    "celsius": "temperature.gpu",
}
"""Our names and those of `nvidia-smi --help-query-gpu`; the first five are texts."""


@dataclass(frozen=True)
class Gpu:
    """One row; a quantity that the GPU does not have is None."""

    index: str
    uuid: str
    pci_address: str
    name: str
    driver: str
    capacity_mebibytes: float | None
    used_mebibytes: float | None
    reserved_mebibytes: float | None
    power_limit_watts: float | None
    celsius: float | None


def why_no_gpu() -> str | None:
    """Return what is missing on this machine; None if the checks can run."""
    if shutil.which("nvidia-smi") is None:
        return "there is no nvidia-smi here"
    if not torch.cuda.is_available():
        return f"torch {torch.__version__} finds no CUDA device here"
    return None


def gpus() -> list[Gpu]:
    """Ask `nvidia-smi`."""
    query = f"--query-gpu={','.join(_FIELDS.values())}"
    answer = subprocess.run(
        ["nvidia-smi", query, "--format=csv,noheader,nounits"],
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    return parse(answer.stdout)


def parse(answer: str) -> list[Gpu]:
    """Read the rows of CSV that `nvidia-smi` prints."""
    rows = csv.reader(answer.splitlines(), skipinitialspace=True)
    return [
        Gpu(index, uuid, pci_address, name, driver, *map(_number, numbers))
        for index, uuid, pci_address, name, driver, *numbers in filter(None, rows)
    ]


def _number(text: str) -> float | None:
    try:
        return float(text)
    except ValueError:  # such as [N/A]
        return None
