"""A driver that a test scripts: the real pynvml loads tests/native/nvml_stub.c."""

import ctypes
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

_SOURCE = Path(__file__).parents[1] / "native" / "nvml_stub.c"
_NAME = "libnvidia-ml.so.1"

HEALTHY = {
    "nvmlDeviceGetUtilizationRates": "87 40",
    "nvmlDeviceGetMemoryInfo": "4000000000 16000000000",
    "nvmlDeviceGetPowerUsage": "150000",
    "nvmlDeviceGetEnforcedPowerLimit": "300000",
    "nvmlDeviceGetTotalEnergyConsumption": "5000000",
    "nvmlDeviceGetTemperatureV/0": "61",
    "nvmlDeviceGetClockInfo/1": "1410",
    "nvmlDeviceGetClockInfo/2": "1215",
    "nvmlDeviceGetCurrentClocksEventReasons": "4",
    "nvmlDeviceGetTotalEccErrors/0": "3",
    "nvmlDeviceGetTotalEccErrors/1": "0",
    "nvmlDeviceGetComputeRunningProcesses_v3": "1",
    "nvmlDeviceGetPcieThroughput/1": "2000",
    "nvmlDeviceGetPcieThroughput/0": "1000",
    "nvmlDeviceGetFieldValues/139": "1000",
    "nvmlDeviceGetFieldValues/138": "500",
    "nvmlDeviceRegisterEvents": "0",
    "nvmlDeviceGetMigMode": "0",
    "nvmlGpmQueryDeviceSupport": "0",
}
"""A GPU without MIG and GPM whose power limit holds its clocks down."""


class Driver:
    """The script of the stub. A change counts from the next NVML call on."""

    def __init__(self, script: Path) -> None:
        self._script = script
        self._lines: dict[str, str] = {}

    def set(self, lines: dict[str, str]) -> None:
        """Replace the script."""
        self._lines = dict(lines)
        self._write()

    def put(self, key: str, answer: str) -> None:
        """Add or change one line."""
        self._lines[key] = answer
        self._write()

    def drop(self, key: str) -> None:
        """Remove one line."""
        del self._lines[key]
        self._write()

    def _write(self) -> None:
        unfinished = self._script.with_suffix(".new")
        unfinished.write_text("".join(f"{key} {answer}\n" for key, answer in self._lines.items()))
        unfinished.replace(self._script)


def build_stub(directory: Path) -> Path:
    """Compile the stub with the driver's own name into `directory`."""
    library = directory / _NAME
    options = ["-Wall", "-Wextra", "-Werror", "-shared", "-fPIC", f"-Wl,-soname,{_NAME}"]
    subprocess.run(["cc", *options, "-o", library, _SOURCE], check=True)
    return library


@pytest.fixture(scope="session")
def nvml_script(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Load the stub into this process: pynvml then gets it by its name, for good."""
    directory = tmp_path_factory.mktemp("nvml")
    script = directory / "script"
    os.environ["NVML_STUB_SCRIPT"] = str(script)
    # mlflow.pytorch imports Lightning, which has torch ask NVML for GPUs: CUDA finds none here.
    os.environ["PYTORCH_NVML_BASED_CUDA_CHECK"] = "0"
    ctypes.CDLL(str(build_stub(directory)))
    return script


@pytest.fixture
def driver(nvml_script: Path) -> Iterator[Driver]:
    """A driver with two healthy GPUs; afterwards it has none, and no call hangs."""
    driver = Driver(nvml_script)
    driver.set({"nvmlDeviceGetCount_v2": "2", **HEALTHY})
    yield driver
    driver.set({"nvmlDeviceGetCount_v2": "0"})
