"""AMD SMI as a test scripts it: a module that stands for the package `amdsmi`."""

from collections.abc import Mapping
from enum import IntEnum
from types import ModuleType, SimpleNamespace
from typing import Any

NOT_SUPPORTED, NO_PERMISSION = 2, 10

HEALTHY: dict[str, Any] = {
    "amdsmi_get_gpu_enumeration_info": {"drm_render": 128, "drm_card": 0, "hip_id": 0},
    "amdsmi_get_gpu_device_uuid": "GPU-9cff74a1",
    "amdsmi_get_gpu_device_bdf": "0000:05:00.0",
    "amdsmi_get_gpu_asic_info": {"market_name": "AMD Instinct MI300X", "vendor_name": "AMD"},
    "amdsmi_get_gpu_driver_info": {"driver_name": "amdgpu", "driver_version": "6.12.12"},
    "amdsmi_get_gpu_activity": {"gfx_activity": 87, "umc_activity": 40, "mm_activity": "N/A"},
    "amdsmi_get_gpu_vram_usage": {"vram_total": 4000, "vram_used": 1000},
    "amdsmi_get_power_info": {
        "socket_power": 300,
        "current_socket_power": 300,
        "average_socket_power": "N/A",
    },
    "amdsmi_get_power_cap_info": {"power_cap": 750_000_000, "dpm_cap": 1},
    "amdsmi_get_energy_count": {"energy_accumulator": 2_000_000, "counter_resolution": 15.5},
    "amdsmi_get_temp_metric": 61,
    "amdsmi_get_clock_info/GFX": {"clk": 2100, "max_clk": 2100},
    "amdsmi_get_clock_info/MEM": {"clk": 1300, "max_clk": 1300},
    "amdsmi_get_gpu_total_ecc_count": {"correctable_count": 3, "uncorrectable_count": 0},
    "amdsmi_get_gpu_process_list": [{"name": "python", "pid": 7}],
}
"""What the calls answer for one GPU; an integer stands for the temperature, an error for itself."""


class AmdSmiException(Exception):  # noqa: N818 - the package calls it so
    """The base class of its errors."""


class AmdSmiLibraryException(AmdSmiException):
    """An error of the library, with its code."""

    def __init__(self, code: int) -> None:
        super().__init__(code)
        self._code = code

    def get_error_code(self) -> int:
        """Return the code of the library."""
        return self._code

    def get_error_info(self) -> str:
        """Return what it means."""
        return f"AMDSMI_STATUS_{self._code}"


class FakeAmdSmi(ModuleType):
    """Answers for each GPU from a table that a test may change; a handle is a number."""

    AmdSmiException = AmdSmiException
    AmdSmiLibraryException = AmdSmiLibraryException
    AmdSmiClkType = IntEnum("AmdSmiClkType", {"GFX": 1, "MEM": 4})
    AmdSmiTemperatureType = IntEnum("AmdSmiTemperatureType", {"HOTSPOT": 1})
    AmdSmiTemperatureMetric = IntEnum("AmdSmiTemperatureMetric", {"CURRENT": 0})
    amdsmi_wrapper = SimpleNamespace(
        AMDSMI_STATUS_NOT_SUPPORTED=NOT_SUPPORTED, AMDSMI_STATUS_NOT_YET_IMPLEMENTED=3
    )

    def __init__(self, *gpus: Mapping[str, Any]) -> None:
        super().__init__("amdsmi")
        self.gpus = [{**HEALTHY, **changes} for changes in gpus]
        self.refuses: AmdSmiException | None = None

    def amdsmi_init(self) -> None:
        """Begin."""
        if self.refuses is not None:
            raise self.refuses

    def amdsmi_get_processor_handles(self) -> list[int]:
        """List the GPUs of the node."""
        return list(range(len(self.gpus)))

    def __getattr__(self, name: str) -> Any:
        if not name.startswith("amdsmi_get_"):
            raise AttributeError(name)

        def call(handle: int, kind: IntEnum | None = None, *_: IntEnum) -> Any:
            answers = self.gpus[handle]
            named = f"{name}/{kind.name}" if kind is not None else name
            answer = answers.get(named, answers.get(name))
            if isinstance(answer, Exception):
                raise answer
            return answer

        return call
