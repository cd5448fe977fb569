"""What the scripted driver reports of a healthy GPU, as metrics of MLflow."""

from collections.abc import Iterable

from trainingjob_agent.monitor import Reading

GPU_0 = {
    "gpu_0_utilization_percentage": 87.0,
    "gpu_0_memory_usage_megabytes": 4_000.0,
    "gpu_0_memory_capacity_megabytes": 16_000.0,
    "gpu_0_memory_usage_percentage": 25.0,
    "gpu_0_power_usage_watts": 150.0,
    "gpu_0_power_usage_percentage": 50.0,
    "gpu_0_energy_joules": 0.0,
    "gpu_0_temperature_celsius": 61.0,
    "gpu_0_sm_clock_megahertz": 1410.0,
    "gpu_0_memory_clock_megahertz": 1215.0,
    "gpu_0_throttled_power_cap": 1.0,
    "gpu_0_throttled_thermal": 0.0,
    "gpu_0_throttled_hardware_thermal": 0.0,
    "gpu_0_throttled_hardware_power_brake": 0.0,
    "gpu_0_throttled_hardware_slowdown": 0.0,
    "gpu_0_lost": 0.0,
}
SLOW_0 = {
    "gpu_0_power_limit_watts": 300.0,
    "gpu_0_ecc_corrected_errors": 3.0,
    "gpu_0_ecc_uncorrected_errors": 0.0,
    "gpu_0_compute_processes": 1.0,
    "gpu_0_pcie_receive_megabytes_per_second": 2.0,
    "gpu_0_pcie_transmit_megabytes_per_second": 1.0,
    "gpu_0_nvlink_receive_megabytes": 0.0,
    "gpu_0_nvlink_transmit_megabytes": 0.0,
}


def metrics(readings: Iterable[Reading]) -> dict[str, float]:
    """Fresh values by their MLflow name."""
    return {r.mlflow_name: r.mlflow_value for r in readings if r.fresh and r.mlflow_name}


def of_gpu(number: int, healthy: dict[str, float]) -> dict[str, float]:
    return {name.replace("gpu_0", f"gpu_{number}"): value for name, value in healthy.items()}
