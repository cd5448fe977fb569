"""GPUs of AMD, by AMD SMI; docs/trainer/monitor.md says what they tell."""

import ast
import importlib.util
import sys
from pathlib import Path

import pytest
from trainingjob_agent.monitor.errors import ErrorLog
from trainingjob_agent.monitor.gpu import GpuSampler
from trainingjob_agent.monitor.gpu.amd import find_amd_gpus
from trainingjob_agent.monitor.gpu.identity import GpuIdentity

from tests.support.amd import (
    HEALTHY,
    NO_PERMISSION,
    NOT_SUPPORTED,
    AmdSmiException,
    AmdSmiLibraryException,
    FakeAmdSmi,
)
from tests.support.gpu_metrics import metrics
from tests.support.nvml import Driver

GPU_0 = {
    "gpu_0_utilization_percentage": 87.0,
    "gpu_0_memory_usage_megabytes": 1_048.576,
    "gpu_0_memory_capacity_megabytes": 4_194.304,
    "gpu_0_memory_usage_percentage": 25.0,
    "gpu_0_power_usage_watts": 300.0,
    "gpu_0_power_limit_watts": 750.0,
    "gpu_0_power_usage_percentage": 40.0,
    "gpu_0_energy_joules": 0.0,
    "gpu_0_temperature_celsius": 61.0,
    "gpu_0_sm_clock_megahertz": 2100.0,
    "gpu_0_memory_clock_megahertz": 1300.0,
    "gpu_0_ecc_corrected_errors": 3.0,
    "gpu_0_ecc_uncorrected_errors": 0.0,
    "gpu_0_compute_processes": 1.0,
}
IDENTITY = GpuIdentity(0, "GPU-9cff74a1", "0000:05:00.0", "AMD Instinct MI300X", driver="6.12.12")
SECOND = {
    "amdsmi_get_gpu_enumeration_info": {"drm_render": 129, "drm_card": 1},
    "amdsmi_get_gpu_device_uuid": "GPU-b0b0b0b0",
}
THIRD = {
    "amdsmi_get_gpu_enumeration_info": {"drm_render": 130, "drm_card": 2},
    "amdsmi_get_gpu_device_uuid": "GPU-c0c0c0c0",
}


@pytest.fixture
def devices(tmp_path: Path) -> Path:
    """The devices of a pod that has the first two GPUs of its node."""
    (tmp_path / "kfd").touch()
    (tmp_path / "dri").mkdir()
    for number in (128, 129):
        (tmp_path / "dri" / f"renderD{number}").touch()
    return tmp_path


def load(monkeypatch: pytest.MonkeyPatch, smi: FakeAmdSmi | None) -> None:
    monkeypatch.setitem(sys.modules, "amdsmi", smi)


def test_what_a_gpu_reports(monkeypatch: pytest.MonkeyPatch, devices: Path) -> None:
    smi = FakeAmdSmi({})
    load(monkeypatch, smi)
    errors = ErrorLog()
    [gpu] = find_amd_gpus(errors, 0, devices, {})

    assert metrics(gpu.read()) == GPU_0
    assert gpu.identity == IDENTITY
    assert gpu.fault() is None
    later = {"energy_accumulator": 3_000_000, "counter_resolution": 15.5}
    smi.gpus[0]["amdsmi_get_energy_count"] = later
    assert metrics(gpu.read()) == {**GPU_0, "gpu_0_energy_joules": 15.5}
    assert errors.readings() == []


def test_what_a_gpu_lacks_costs_that_value_only(
    monkeypatch: pytest.MonkeyPatch, devices: Path, caplog: pytest.LogCaptureFixture
) -> None:
    older = {
        "amdsmi_get_gpu_activity": {"gfx_activity": "N/A"},
        "amdsmi_get_power_info": {"current_socket_power": "N/A", "average_socket_power": 120},
        "amdsmi_get_energy_count": AmdSmiLibraryException(NOT_SUPPORTED),
        "amdsmi_get_gpu_total_ecc_count": AmdSmiLibraryException(NO_PERMISSION),
    }
    load(monkeypatch, FakeAmdSmi(older))
    errors = ErrorLog()
    [gpu] = find_amd_gpus(errors, 0, devices, {})

    gone = (
        "gpu_0_utilization_percentage",
        "gpu_0_energy_joules",
        "gpu_0_ecc_corrected_errors",
        "gpu_0_ecc_uncorrected_errors",
    )
    assert metrics(gpu.read()) == {
        **{name: value for name, value in GPU_0.items() if name not in gone},
        "gpu_0_power_usage_watts": 120.0,
        "gpu_0_power_usage_percentage": 16.0,
    }
    # What it does not have is no error.
    assert [(one.value, one.labels) for one in errors.readings()] == [(1, ("gpu 0",))]
    assert "gpu 0: no ECC errors: AMDSMI_STATUS_10 (logged once)" in caplog.messages


@pytest.mark.parametrize(
    ("environment", "uuids"),
    [
        pytest.param({}, ["GPU-9cff74a1", "GPU-b0b0b0b0"], id="those of the pod"),
        pytest.param({"HIP_VISIBLE_DEVICES": "1"}, ["GPU-b0b0b0b0"], id="by number"),
        pytest.param({"ROCR_VISIBLE_DEVICES": "GPU-9cff74a1"}, ["GPU-9cff74a1"], id="by UUID"),
        pytest.param({"CUDA_VISIBLE_DEVICES": ""}, [], id="none"),
    ],
)
def test_which_gpus_are_the_jobs(
    monkeypatch: pytest.MonkeyPatch, devices: Path, environment: dict[str, str], uuids: list[str]
) -> None:
    load(monkeypatch, FakeAmdSmi({}, SECOND, THIRD))

    found = find_amd_gpus(ErrorLog(), 0, devices, environment)

    for gpu in found:
        gpu.read()
    assert [gpu.identity.uuid for gpu in found] == uuids


def test_gpus_of_both_makes_have_numbers_of_their_own(
    monkeypatch: pytest.MonkeyPatch, devices: Path, driver: Driver
) -> None:
    load(monkeypatch, FakeAmdSmi({}))
    sampler = GpuSampler(devices=devices)

    sampled = metrics(sampler.sample(5))

    assert [gpu.index for gpu in sampler.identities()] == [0, 1, 2]
    assert sampled["gpu_2_sm_clock_megahertz"] == 2100.0
    assert sampler.faults(5) == []


def test_without_the_driver_amd_smi_is_not_even_imported(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    load(monkeypatch, None)

    assert find_amd_gpus(ErrorLog(), 0, tmp_path, {}) == []
    assert caplog.messages == []


def test_without_amd_smi_the_log_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch, devices: Path, caplog: pytest.LogCaptureFixture
) -> None:
    load(monkeypatch, None)
    errors = ErrorLog()
    caplog.set_level("INFO")

    assert find_amd_gpus(errors, 0, devices, {}) == []
    assert errors.readings() == []
    [message] = caplog.messages
    assert message.endswith("trainingjob-agent[amd] has them")


def test_a_driver_that_refuses_costs_its_gpus_only(
    monkeypatch: pytest.MonkeyPatch, devices: Path, driver: Driver
) -> None:
    smi = FakeAmdSmi({})
    smi.refuses = AmdSmiException("the driver is not loaded")
    load(monkeypatch, smi)
    errors = ErrorLog()
    sampler = GpuSampler(errors, devices)

    assert "gpu_1_power_usage_watts" in metrics(sampler.sample(5))
    assert [one.labels for one in errors.readings()] == [("amdsmi",)]


def test_the_package_has_what_the_fake_has() -> None:
    """Its source is read: without ROCm's library it cannot be imported."""
    spec = importlib.util.find_spec("amdsmi")
    assert spec is not None
    assert spec.origin is not None
    interface = Path(spec.origin).with_name("amdsmi_interface.py").read_text()
    source = {
        node.name: ast.unparse(node)
        for node in ast.parse(interface).body
        if isinstance(node, ast.FunctionDef)
    }

    assert "amdsmi_init" in source
    assert "amdsmi_get_processor_handles" in source
    for name, answer in HEALTHY.items():
        function = source[name.partition("/")[0]]
        keys = answer if isinstance(answer, dict) else ()
        assert [key for key in keys if repr(key) not in function] == []
