"""What of a sample goes to MLflow: by level, and what seldom changes when it does."""

import pytest
from trainingjob_agent.contract import MonitorLevel
from trainingjob_agent.monitor import Reading, SystemSample
from trainingjob_agent.monitor import quantities as q
from trainingjob_agent.monitor.gpu import GpuSampler
from trainingjob_agent.monitor.gpu import quantities as gpu
from trainingjob_agent.monitor.selection import BASIC_POINTS, Selection

from tests.support.gpu_metrics import metrics
from tests.support.nvml import HEALTHY, Driver

POD = (
    Reading(q.CPU_UTILIZATION, 0.5),
    Reading(q.CPU_LIMIT, 4.0),
    Reading(q.NETWORK_RECEIVE, 2e6),
    Reading(gpu.PCIE_RECEIVE, 2e6, ("0",), fresh=False),
    Reading(q.CPU_USAGE, 2.0),
)


def sample(*readings: Reading) -> SystemSample:
    return SystemSample(0, readings)


@pytest.mark.parametrize(
    ("level", "first"),
    [
        ("basic", {"cpu_utilization_percentage": 50.0}),
        ("full", {"cpu_utilization_percentage": 50.0, "network_receive_megabytes": 2.0}),
    ],
)
def test_a_constant_is_logged_at_first_and_when_it_changes(
    level: MonitorLevel, first: dict[str, float]
) -> None:
    selection = Selection(level)

    assert selection.of(sample(*POD)) == first | {"cpu_limit_cores": 4.0}
    assert selection.of(sample(*POD)) == first
    assert selection.of(sample(Reading(q.CPU_LIMIT, 2.0))) == {"cpu_limit_cores": 2.0}
    assert selection.of(sample(Reading(q.CPU_LIMIT, 2.0))) == {}


def eight_gpus(driver: Driver) -> None:
    activity = {f"nvmlGpmMetricsGet/{metric}": "50" for metric in (1, 2, 3, 5, 10)}
    support = {"nvmlDeviceGetCount_v2": "8", "nvmlGpmQueryDeviceSupport": "1"}
    driver.set({**HEALTHY, **support, **activity})


NODE = [
    *(Reading(one, 0.5) for one in (q.CPU_UTILIZATION, q.CPU_THROTTLED, q.CPU_LIMIT)),
    *(Reading(one, 0.0) for one in (q.CPU_LIMIT_IS_HOST, q.MEMORY_LIMIT_IS_HOST)),
    *(Reading(one, 1e9) for one in (q.MEMORY_WORKING_SET, q.MEMORY_UTILIZATION, q.MEMORY_LIMIT)),
    *(Reading(one, 1e6) for one in (q.NETWORK_RECEIVE_RATE, q.NETWORK_TRANSMIT_RATE)),
    *(Reading(one, 1e6) for one in (q.NETWORK_RECEIVE, q.NETWORK_TRANSMIT, q.DISK_USED)),
    Reading(q.DISK_UTILIZATION, 0.5),
    *(Reading(q.VOLUME_UTILIZATION, 0.5, (path,)) for path in ("/dev/shm", "/data", "/state")),  # noqa: S108 - mount points
    *(Reading(q.PRESSURE, 0.1, (resource,)) for resource in ("cpu", "memory", "io")),
    *(Reading(q.PROCESS_MEMORY, 1e9, (str(rank),)) for rank in range(8)),
]


def test_eight_gpus_have_at_most_sixty_points_a_sample_and_all_states_in_the_end(
    driver: Driver,
) -> None:
    eight_gpus(driver)
    gpus, selection = GpuSampler(), Selection("basic")
    everything: dict[str, float] = {}

    logged = []
    for _ in range(20):
        readings = gpus.sample(5)
        everything |= metrics([*NODE, *readings])
        logged.append(selection.of(sample(*NODE, *readings)))

    assert BASIC_POINTS == 60
    assert max(map(len, logged)) == 60
    steady = {one.mlflow_name for one in [*NODE, *readings] if one.quantity.steady}
    found = {name: value for points in logged for name, value in points.items()}
    assert steady <= found.keys()
    assert found.items() <= everything.items()
    assert len(logged[-1]) == 53
    assert {f"gpu_7_{what}" for what in BASIC_OF_A_GPU} <= logged[-1].keys()


BASIC_OF_A_GPU = {
    *("utilization_percentage", "memory_usage_megabytes", "memory_usage_percentage"),
    *("power_usage_watts", "sm_active_percentage"),
}


def test_what_has_changed_comes_before_what_was_never_logged() -> None:
    selection = Selection("basic")
    volumes = [Reading(q.VOLUME_UTILIZATION, 0.5, (f"/{n}",)) for n in range(BASIC_POINTS - 1)]

    def steady(cores: float) -> dict[str, float]:
        limits = Reading(q.CPU_LIMIT, cores), Reading(q.MEMORY_LIMIT, 1e9)
        points = selection.of(sample(*volumes, *limits))
        return {name: value for name, value in points.items() if "limit" in name}

    assert [steady(cores=4), steady(cores=2), steady(cores=2), steady(cores=2)] == [
        {"cpu_limit_cores": 4.0},
        {"cpu_limit_cores": 2.0},
        {"system_memory_limit_megabytes": 1000.0},
        {},
    ]
