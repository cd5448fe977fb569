"""GPUs by the real pynvml and a driver whose answers and errors are scripted."""

import logging
from pathlib import Path

import pytest
from trainingjob_agent.monitor.gpu import GpuSampler

from tests.support.gpu_metrics import GPU_0, SLOW_0, metrics, of_gpu
from tests.support.nvml import Driver
from tests.support.pod_process import Trainer
from tests.support.processes import MlflowServer


def test_all_that_two_gpus_tell_the_slow_counters_once_a_minute(driver: Driver) -> None:
    sampler = GpuSampler()

    first, second = sampler.sample(5), sampler.sample(5)

    both = GPU_0 | of_gpu(1, GPU_0)
    assert metrics(first) == both | SLOW_0 | of_gpu(1, SLOW_0)
    assert metrics(second) == both
    assert {r.quantity for r in first} == {r.quantity for r in second}


def test_energy_counts_from_the_monitors_start(driver: Driver) -> None:
    sampler = GpuSampler()
    sampler.sample(5)
    driver.put("1:nvmlDeviceGetTotalEnergyConsumption", "5250000")

    found = metrics(sampler.sample(5))

    assert (found["gpu_0_energy_joules"], found["gpu_1_energy_joules"]) == (0.0, 250.0)


@pytest.mark.parametrize(
    ("line", "lost", "message", "level"),
    [
        pytest.param(
            ("1:nvmlDeviceGetPowerUsage", "error 999"),
            {"power_usage_watts", "power_usage_percentage"},
            "gpu 1: no power: Unknown Error (logged once)",
            logging.WARNING,
            id="power",
        ),
        pytest.param(
            ("1:nvmlDeviceGetMemoryInfo", "error 999"),
            {"memory_usage_megabytes", "memory_capacity_megabytes", "memory_usage_percentage"},
            "gpu 1: no memory: Unknown Error (logged once)",
            logging.WARNING,
            id="memory",
        ),
        pytest.param(
            ("1:nvmlDeviceGetFieldValues/139", "error 3"),
            {"nvlink_receive_megabytes"},
            "gpu 1: no NVLink received: Not Supported (logged once)",
            logging.INFO,
            id="no NVLink there",
        ),
        pytest.param(
            ("1:nvmlDeviceGetTotalEccErrors/1", "error 4"),
            {"ecc_uncorrected_errors"},
            "gpu 1: no uncorrected ECC errors: Insufficient Permissions (logged once)",
            logging.WARNING,
            id="not permitted",
        ),
    ],
)
def test_an_error_of_one_counter_of_one_gpu_costs_that_point_and_is_logged_once(
    driver: Driver,
    caplog: pytest.LogCaptureFixture,
    line: tuple[str, str],
    lost: set[str],
    message: str,
    level: int,
) -> None:
    for answer in (("nvmlDeviceGetUUID", "GPU-1"), ("nvmlDeviceGetName", "H100"), line):
        driver.put(*answer)
    driver.put("nvmlDeviceGetPciInfo_v3", "00000000:18:00.0")
    sampler = GpuSampler()

    with caplog.at_level(logging.INFO):
        first, _, _ = (sampler.sample(5) for _ in range(3))

    healthy = GPU_0 | SLOW_0
    rest = {name: value for name, value in healthy.items() if name[len("gpu_0_") :] not in lost}
    assert metrics(first) == healthy | of_gpu(1, rest)
    assert [(r.levelno, r.message) for r in caplog.records if "gpu 1" in r.message] == [
        (level, message)
    ]


def test_all_errors_of_a_counter_are_over_when_it_answers_again(driver: Driver) -> None:
    driver.put("0:nvmlDeviceGetPowerUsage", "error 999")
    sampler = GpuSampler()
    assert "gpu_0_power_usage_watts" not in metrics(sampler.sample(5))

    driver.drop("0:nvmlDeviceGetPowerUsage")

    assert metrics(sampler.sample(5))["gpu_0_power_usage_watts"] == 150.0


def test_an_old_driver_is_asked_by_the_old_names(driver: Driver) -> None:
    driver.put("nvmlDeviceGetTemperatureV/0", "error 13")
    driver.put("nvmlDeviceGetTemperature/0", "58")
    driver.put("nvmlDeviceGetCurrentClocksEventReasons", "error 13")
    driver.put("nvmlDeviceGetCurrentClocksThrottleReasons", "64")

    found = metrics(GpuSampler().sample(5))

    assert found["gpu_0_temperature_celsius"] == 58.0
    assert found["gpu_0_throttled_hardware_thermal"] == 1.0


def test_activity_where_the_device_counts_it(driver: Driver) -> None:
    driver.put("0:nvmlGpmQueryDeviceSupport", "1")
    for metric, value in {1: 95, 2: 80, 3: 45, 5: 60}.items():
        driver.put(f"0:nvmlGpmMetricsGet/{metric}", str(value))
    sampler = GpuSampler()

    assert "gpu_0_sm_active_percentage" not in metrics(sampler.sample(5))
    activity = metrics(sampler.sample(5)).items() - (GPU_0 | of_gpu(1, GPU_0)).items()

    assert dict(activity) == {
        "gpu_0_active_percentage": 95.0,
        "gpu_0_sm_active_percentage": 80.0,
        "gpu_0_sm_occupancy_percentage": 45.0,
        "gpu_0_tensor_active_percentage": 60.0,
    }


def test_mig_instances_have_memory_and_activity_of_their_own(driver: Driver) -> None:
    for line in {
        "nvmlDeviceGetCount_v2": "1",
        "nvmlDeviceGetMigMode": "1",
        "nvmlDeviceGetMaxMigDeviceCount": "7",
        "nvmlDeviceGetMigDeviceHandleByIndex/0": "0",
        "nvmlDeviceGetMigDeviceHandleByIndex/2": "0",
        "nvmlDeviceGetUtilizationRates": "error 3",
        "0.0:nvmlDeviceGetMemoryInfo": "1000000000 5000000000",
        "0.2:nvmlDeviceGetMemoryInfo": "error 999",
        "0.0:nvmlDeviceGetGpuInstanceId": "0",
        "0.2:nvmlDeviceGetGpuInstanceId": "2",
        "nvmlGpmQueryDeviceSupport": "1",
        "0.0:nvmlGpmMetricsGet/2": "30",
        "0.2:nvmlGpmMetricsGet/2": "70",
    }.items():
        driver.put(*line)
    sampler = GpuSampler()
    sampler.sample(5)

    found = metrics(sampler.sample(5))

    without_utilization = {k: v for k, v in GPU_0.items() if k != "gpu_0_utilization_percentage"}
    assert found == without_utilization | {
        "gpu_0_mig_0_memory_usage_megabytes": 1_000.0,
        "gpu_0_mig_0_memory_capacity_megabytes": 5_000.0,
        "gpu_0_mig_0_memory_usage_percentage": 20.0,
        "gpu_0_mig_0_sm_active_percentage": 30.0,
        "gpu_0_mig_2_sm_active_percentage": 70.0,
    }


def test_a_pod_finds_the_driver_and_its_gpus_are_in_the_run(
    trainer: Trainer, mlflow_server: MlflowServer, driver: Driver, nvml_script: Path
) -> None:
    """Nothing is loaded beforehand: pynvml looks for the library as in a pod."""
    driver.put("1:*", "error 15")
    run_id = mlflow_server.create_run()

    code, output = trainer.run(
        *("mnist", "--epochs", "1", "--monitor-level", "full"),
        LD_LIBRARY_PATH=str(nvml_script.parent),
        MLFLOW_TRACKING_URI=mlflow_server.uri,
        TRAININGJOB_MLFLOW_RUN_ID=run_id,
    )

    assert code == 0, output
    assert "GPU 1 fell off the bus" in output
    client = mlflow_server.client
    found = client.get_run(run_id).data.metrics
    expected = {f"system/{name}": value for name, value in {**GPU_0, "gpu_1_lost": 1.0}.items()}
    assert {name: value for name, value in found.items() if name in expected} == expected
    power = client.get_metric_history(run_id, "system/gpu_0_power_usage_watts")
    assert [point.step for point in power] == [point.timestamp for point in power]
