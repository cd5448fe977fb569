"""A failure names the broken GPU behind it: real processes, a driver that a test scripts."""

import json
import sys
from pathlib import Path

import pytest

from tests.support.nvml import Driver
from tests.support.pod_process import Trainer

OFF_THE_BUS = "GPU 1 fell off the bus"


def test_a_task_whose_gpu_fell_off_the_bus(
    trainer: Trainer, driver: Driver, nvml_script: Path, tmp_path: Path
) -> None:
    driver.put("1:*", "error 15")

    code, output = trainer.run(
        *("cuda_error_task:CudaErrorTask", "--epochs", "1"),
        LD_LIBRARY_PATH=str(nvml_script.parent),
        TINY_RECORD=str(tmp_path),
    )

    assert code == 1, output
    reported = json.loads(trainer.termination_log.read_text())
    assert reported["reason"] == "GpuLost"
    assert reported["message"] == f"{OFF_THE_BUS}. CUDA error: unspecified launch failure"
    assert reported["frame"].endswith("cuda_error_task.py:12 in loss")


@pytest.mark.parametrize(
    ("line", "error", "reason", "message"),
    [
        pytest.param(
            ("0:xid/0", "74"),
            "NCCL error: unhandled system error",
            "NcclError",
            "GPU 0: Xid 74 (NVLink error). NCCL error: unhandled system error",
            id="an Xid",
        ),
        pytest.param(
            ("1:*", "error 15"),
            "CUDA error: unknown error",
            "GpuLost",
            f"{OFF_THE_BUS}. CUDA error: unknown error",
            id="a lost GPU",
        ),
        pytest.param(
            ("1:*", "error 15"),
            "shapes cannot be multiplied",
            "UserException",
            "shapes cannot be multiplied",
            id="an error that no GPU makes",
        ),
    ],
)
def test_a_script_with_a_broken_gpu(
    trainer: Trainer,
    driver: Driver,
    nvml_script: Path,
    line: tuple[str, str],
    error: str,
    reason: str,
    message: str,
) -> None:
    driver.put(*line)
    process = trainer.execute(
        *(sys.executable, "-c", f"raise RuntimeError({error!r})"),
        LD_LIBRARY_PATH=str(nvml_script.parent),
    )
    _, errors = process.communicate(timeout=300)

    assert process.returncode == 1, errors
    reported = json.loads(trainer.termination_log.read_text())
    assert (reported["reason"], reported["message"]) == (reason, message)
