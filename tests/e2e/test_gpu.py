"""What the monitor sees in a real pod: the pod's own limits, and GPUs by a driver from a file."""

import base64
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.api import Cluster
from tests.support.node import Installed, example, log, pods, wait_for_end
from tests.support.nvml import HEALTHY, build_stub

GPU = "nvidia.com/gpu"
DRIVER = "driver"
DIRECTORY = "/usr/local/nvidia"
MEBIBYTE = 2**20 / 1e6
# What changes while it works, each second.
BUSY = {
    "nvmlDeviceGetUtilizationRates": "87 40|93 44|98 47|95 45|91 42",
    "nvmlDeviceGetMemoryInfo": "4000000000 16000000000|4200000000 16000000000",
    "nvmlDeviceGetPowerUsage": "210000|242000|268000|255000|231000",
    "nvmlDeviceGetTemperatureV/0": "61|62|64|65|64|63",
    "nvmlDeviceGetClockInfo/1": "1410|1395|1380|1395",
    "nvmlDeviceGetCurrentClocksEventReasons": "0|0|4",
}
SEEN = {
    "utilization_percentage": {87, 93, 98, 95, 91},
    "memory_usage_megabytes": {4000, 4200},
    "power_usage_watts": {210, 242, 268, 255, 231},
    "temperature_celsius": {61, 62, 64, 65, 63},
    "sm_clock_megahertz": {1410, 1395, 1380},
    "throttled_power_cap": {0, 1},
    "memory_capacity_megabytes": {16000},
    "memory_clock_megahertz": {1215},
    "ecc_corrected_errors": {3},
    "pcie_receive_megabytes_per_second": {2},
    "lost": {0},
}


@pytest.fixture
def gpu_node(cluster: Cluster) -> Iterator[None]:
    """The node has a GPU to give, as Kubernetes documents it for resources without a plugin."""
    [node] = cluster.core.list_node().items

    def advertise(count: int | None) -> None:
        resources = {GPU: count}
        patch = {"status": {"capacity": resources, "allocatable": resources}}
        cluster.core.patch_node_status(node.metadata.name, patch)

    advertise(1)
    yield
    advertise(None)


@pytest.fixture
def driver(cluster: Cluster, tmp_path: Path) -> None:
    """The ConfigMap `driver`: the library that pynvml loads, and what it is to answer."""
    library = build_stub(tmp_path)
    answers = {"nvmlDeviceGetCount_v2": "1", **HEALTHY, **BUSY}
    body = {
        "metadata": {"name": DRIVER},
        "binaryData": {library.name: base64.b64encode(library.read_bytes()).decode()},
        "data": {"script": "".join(f"{call} {answer}\n" for call, answer in answers.items())},
    }
    cluster.core.create_namespaced_config_map(cluster.namespace, body)


def gpu_job() -> dict[str, Any]:
    """MNIST on one GPU, with the limits of a small pod."""
    job = example("mnist.yaml")
    job["metadata"]["name"] = "gpu"
    job["spec"] |= {
        "args": ["run", "mnist", "--epochs", "3"],
        "resourcesPerNode": {
            "requests": {"cpu": "250m", "memory": "1Gi"},
            "limits": {"cpu": "1500m", "memory": "3Gi", GPU: 1},
        },
        "env": [
            {"name": "TRAININGJOB_OPTION_MONITOR_LEVEL", "value": "full"},
            {"name": "LD_LIBRARY_PATH", "value": DIRECTORY},
            {"name": "NVML_STUB_SCRIPT", "value": f"{DIRECTORY}/script"},
        ],
        "volumes": [{"name": "driver", "configMap": {"name": DRIVER}}],
        "volumeMounts": [{"name": "driver", "mountPath": DIRECTORY}],
        "mlflow": {"experiment": "gpu"},
        "monitoring": {"intervalSeconds": 1},
    }
    return job


@pytest.mark.usefixtures("gpu_node", "driver")
def test_gpu_and_limits_of_a_real_pod(installed: Installed, cluster: Cluster) -> None:
    cluster.apply(gpu_job())
    run_id = wait_for_end(cluster, "gpu", 400)["mlflow"]["runId"]
    [pod] = pods(cluster, "gpu")
    run = installed.mlflow.get_run(run_id)
    assert run.info.status == "FINISHED", log(cluster, pod.metadata.name)
    last = run.data.metrics

    for name, expected in SEEN.items():
        history = installed.mlflow.get_metric_history(run_id, f"system/gpu_0_{name}")
        seen = {point.value for point in history}
        assert seen <= expected, name
        assert len(seen) > 1 or len(expected) == 1, name
    assert not [name for name in last if "gpu_1" in name]

    assert last["system/cpu_limit_cores"] == 1.5
    assert last["system/system_memory_limit_megabytes"] == pytest.approx(3 * 1024 * MEBIBYTE)
    assert (last["system/cpu_limit_is_host"], last["system/system_memory_limit_is_host"]) == (0, 0)
    assert 200 < last["system/system_memory_usage_megabytes"] < 3 * 1024 * MEBIBYTE
    used = installed.mlflow.get_metric_history(run_id, "system/cpu_utilization_percentage")
    # The quota is for periods of 100 ms, so that a second may have a period's work more.
    assert 10 < max(point.value for point in used) < 120
