"""Which GPUs are the job's, and by what a person finds one."""

import pytest
from trainingjob_agent.monitor import GpuFault, SystemMonitor
from trainingjob_agent.monitor.gpu import GpuSampler
from trainingjob_agent.monitor.gpu import quantities as q
from trainingjob_agent.monitor.gpu.identity import GpuIdentity, sharing_of, visible_gpus

from tests.support.metric_sink import Sink
from tests.support.nvml import Driver

UUIDS = ["GPU-aa11", "GPU-bb22", "GPU-bb33", "GPU-cc44"]


@pytest.mark.parametrize(
    ("environment", "visible"),
    [
        pytest.param({}, [0, 1, 2, 3], id="nothing said"),
        pytest.param({"NVIDIA_VISIBLE_DEVICES": "all"}, [0, 1, 2, 3], id="all"),
        pytest.param({"NVIDIA_VISIBLE_DEVICES": "void"}, [0, 1, 2, 3], id="by CDI"),
        pytest.param({"NVIDIA_VISIBLE_DEVICES": "2"}, [0, 1, 2, 3], id="a number of the node's"),
        pytest.param({"NVIDIA_VISIBLE_DEVICES": "GPU-cc44,GPU-aa11"}, [0, 3], id="of the plugin"),
        pytest.param({"NVIDIA_VISIBLE_DEVICES": "GPU-cc44::3,GPU-cc44::0"}, [3], id="slices"),
        pytest.param({"NVIDIA_VISIBLE_DEVICES": "GPU-ff"}, [0, 1, 2, 3], id="of another node"),
        pytest.param({"NVIDIA_VISIBLE_DEVICES": "MIG-ee"}, [0, 1, 2, 3], id="an instance"),
        pytest.param({"CUDA_VISIBLE_DEVICES": "3,1"}, [1, 3], id="by number"),
        pytest.param({"CUDA_VISIBLE_DEVICES": " 1 , 1"}, [1], id="twice"),
        pytest.param({"CUDA_VISIBLE_DEVICES": "GPU-aa"}, [0], id="by the start of a UUID"),
        pytest.param({"CUDA_VISIBLE_DEVICES": "0,9,1"}, [0], id="until one that is not there"),
        pytest.param({"CUDA_VISIBLE_DEVICES": ""}, [], id="none"),
        pytest.param({"CUDA_VISIBLE_DEVICES": "-1"}, [], id="none by a number"),
        pytest.param({"CUDA_VISIBLE_DEVICES": "MIG-ee"}, [0, 1, 2, 3], id="an instance for CUDA"),
        pytest.param(
            {"CUDA_VISIBLE_DEVICES": "2", "NVIDIA_VISIBLE_DEVICES": "GPU-aa11"}, [2], id="both"
        ),
    ],
)
def test_which_gpus_are_the_jobs(environment: dict[str, str], visible: list[int]) -> None:
    assert visible_gpus(UUIDS, environment) == visible


@pytest.mark.parametrize(
    ("environment", "sharing"),
    [
        pytest.param({}, "", id="nothing said"),
        pytest.param({"NVIDIA_VISIBLE_DEVICES": "all"}, "", id="all"),
        pytest.param({"NVIDIA_VISIBLE_DEVICES": "GPU-aa11,GPU-bb22"}, "", id="two GPUs"),
        pytest.param(
            {"NVIDIA_VISIBLE_DEVICES": "GPU-aa11,GPU-aa11"}, "time-slicing", id="one GPU twice"
        ),
        pytest.param(
            {"NVIDIA_VISIBLE_DEVICES": "MIG-a,MIG-a"}, "time-slicing", id="an instance twice"
        ),
        pytest.param({"TRAININGJOB_GPU_SHARED": "true"}, "time-slicing", id="asked for by name"),
        pytest.param(
            {"TRAININGJOB_GPU_SHARED": "true", "CUDA_MPS_PIPE_DIRECTORY": "/mps"}, "MPS", id="MPS"
        ),
    ],
)
def test_by_what_a_gpu_is_shared(environment: dict[str, str], sharing: str) -> None:
    assert sharing_of(environment) == sharing


def test_a_gpu_that_does_not_say_which_it_is_may_be_the_jobs() -> None:
    assert visible_gpus(["", "GPU-bb22"], {"NVIDIA_VISIBLE_DEVICES": "GPU-bb22"}) == [0, 1]


WHICH = {
    "nvmlSystemGetDriverVersion": "570.86.15",
    "nvmlDeviceGetName": "NVIDIA H100 80GB HBM3",
    "0:nvmlDeviceGetUUID": "GPU-aa11",
    "1:nvmlDeviceGetUUID": "GPU-bb22",
    "0:nvmlDeviceGetPciInfo_v3": "00000000:18:00.0",
    "1:nvmlDeviceGetPciInfo_v3": "00000000:65:00.0",
}
H100 = "NVIDIA H100 80GB HBM3"


def test_a_failure_names_the_gpu_as_the_node_does(
    driver: Driver, caplog: pytest.LogCaptureFixture
) -> None:
    for line in WHICH.items():
        driver.put(*line)
    sampler = GpuSampler()
    sampler.sample(5)
    driver.put("0:xid/0", "94")
    driver.put("1:*", "error 15")

    assert sampler.faults(5) == [
        GpuFault(
            0,
            "GpuXidError",
            "GPU 0 (GPU-aa11, 00000000:18:00.0): Xid 94 (contained ECC error)",
        ),
        GpuFault(1, "GpuLost", "GPU 1 (GPU-bb22, 00000000:65:00.0) fell off the bus"),
    ]
    lost = "GPU 1 (GPU-bb22, 00000000:65:00.0) fell off the bus: its node needs a look"
    assert lost in caplog.messages


def test_only_the_gpus_of_the_job_are_read(driver: Driver, monkeypatch: pytest.MonkeyPatch) -> None:
    for line in WHICH.items():
        driver.put(*line)
    monkeypatch.setenv("NVIDIA_VISIBLE_DEVICES", "GPU-bb22")
    sampler = GpuSampler()

    readings = sampler.sample(5)

    assert {reading.labels[0] for reading in readings} == {"1"}
    assert [reading.labels for reading in readings if reading.quantity is q.INFO] == [
        ("1", "GPU-bb22", "00000000:65:00.0", H100, "", "570.86.15")
    ]


@pytest.mark.parametrize(
    ("lines", "environment", "sharing"),
    [
        ({}, {}, ""),
        ({}, {"CUDA_MPS_PIPE_DIRECTORY": "/tmp/nvidia-mps"}, "MPS"),  # noqa: S108 - NVIDIA's
        ({}, {"TRAININGJOB_GPU_SHARED": "true"}, "time-slicing"),
        (
            {
                "nvmlDeviceGetMigMode": "1",
                "nvmlDeviceGetMaxMigDeviceCount": "7",
                "nvmlDeviceGetMigDeviceHandleByIndex/3": "0",
            },
            {},
            "MIG",
        ),
        (
            {
                "nvmlDeviceGetMigMode": "1",
                "nvmlDeviceGetMaxMigDeviceCount": "7",
                "nvmlDeviceGetMigDeviceHandleByIndex/3": "0",
            },
            {"TRAININGJOB_GPU_SHARED": "true"},
            "MIG and time-slicing",
        ),
    ],
)
def test_a_shared_gpu_is_labelled_as_such(
    driver: Driver,
    monkeypatch: pytest.MonkeyPatch,
    lines: dict[str, str],
    environment: dict[str, str],
    sharing: str,
) -> None:
    for line in lines.items():
        driver.put(*line)
    for variable, value in environment.items():
        monkeypatch.setenv(variable, value)
    sampler = GpuSampler()

    sampler.sample(5)

    assert sampler.identities() == [
        GpuIdentity(0, sharing=sharing),
        GpuIdentity(1, sharing=sharing),
    ]


def test_the_run_has_a_tag_of_its_gpus_which_is_set_when_they_change(driver: Driver) -> None:
    for line in WHICH.items():
        driver.put(*line)
    sink = Sink()
    monitor = SystemMonitor(sink, gpu_tag="trainingjob.gpus.1")

    monitor.log_metrics_to_mlflow()
    with pytest.raises(ConnectionError):
        monitor.log_metrics_to_mlflow()
    monitor.log_metrics_to_mlflow()

    assert sink.tags == [
        {
            "trainingjob.gpus.1": "GPU 0 (GPU-aa11, 00000000:18:00.0), NVIDIA H100 80GB HBM3, "
            "driver 570.86.15; GPU 1 (GPU-bb22, 00000000:65:00.0), NVIDIA H100 80GB HBM3, "
            "driver 570.86.15"
        }
    ]
