"""GPUs that hang, fall off the bus or report errors, and drivers that are not there."""

import logging
import time

import pytest
from trainingjob_agent.monitor import (
    GpuFault,
    SystemMonitor,
    SystemSample,
    find_gpu_faults,
)
from trainingjob_agent.monitor.gpu import GpuSampler
from trainingjob_agent.monitor.sampler import SystemSampler

from tests.support.gpu_metrics import GPU_0, SLOW_0, metrics, of_gpu
from tests.support.nvml import HEALTHY, Driver
from tests.support.pod_process import wait_until


def test_a_call_that_hangs_costs_its_gpu_only_until_it_returns(
    driver: Driver, caplog: pytest.LogCaptureFixture
) -> None:
    sampler = GpuSampler()
    sampler.sample(5)
    driver.put("0:nvmlDeviceGetTemperatureV/0", "hang")

    with caplog.at_level(logging.INFO):
        hanging = [metrics(sampler.sample(0.3)) for _ in range(2)]
        began = time.monotonic()
        sampler.sample(60)
        waited = time.monotonic() - began
        driver.put("0:nvmlDeviceGetTemperatureV/0", "61")
        wait_until(lambda: "gpu_0_lost" in metrics(sampler.sample(5)))

    assert hanging == 2 * [of_gpu(1, GPU_0)]
    assert waited < 30  # who hangs is not waited for again
    silence = "gpu 0: the driver does not answer; values are missing until it does (logged once)"
    assert caplog.messages.count(silence) == 1
    assert caplog.messages[-1].startswith("gpu 0: over: the driver does not answer")


def test_a_driver_that_hangs_from_the_start_costs_no_other_value(driver: Driver) -> None:
    driver.put("nvmlInitWithFlags", "hang")
    sampler = SystemSampler(timeout_seconds=0.3)

    names = set(metrics(sampler.sample().readings))
    assert "cpu_utilization_percentage" in names
    assert not any(name.startswith("gpu") for name in names)

    driver.drop("nvmlInitWithFlags")
    wait_until(lambda: "gpu_0_lost" in metrics(sampler.sample().readings))


def test_a_gpu_that_falls_off_the_bus_is_the_cause(
    driver: Driver, caplog: pytest.LogCaptureFixture
) -> None:
    sampler = GpuSampler()
    sampler.sample(5)
    assert sampler.faults(5) == []
    driver.put("1:*", "error 15")

    after = [metrics(sampler.sample(5)) for _ in range(2)]

    assert after == 2 * [GPU_0 | {"gpu_1_lost": 1.0}]
    assert sampler.faults(5) == [GpuFault(1, "GpuLost", "GPU 1 fell off the bus")]
    assert [r.message for r in caplog.records if r.levelno >= logging.WARNING] == [
        "GPU 1 fell off the bus: its node needs a look"
    ]


def test_a_process_without_a_monitor_can_look_for_faults(driver: Driver) -> None:
    assert find_gpu_faults() == []
    driver.put("0:nvmlDeviceGetMemoryInfo", "error 15")
    assert find_gpu_faults() == [GpuFault(0, "GpuLost", "GPU 0 fell off the bus")]
    driver.put("nvmlInitWithFlags", "hang")
    assert find_gpu_faults(within_seconds=0.2) == []


def test_a_gpu_that_is_lost_before_the_start(driver: Driver) -> None:
    driver.put("nvmlDeviceGetHandleByIndex_v2/0", "error 15")

    assert metrics(GpuSampler().sample(5)) == {
        "gpu_0_lost": 1.0,
        **of_gpu(1, GPU_0 | SLOW_0),
    }


def test_xid_errors_are_counted_and_named(driver: Driver, caplog: pytest.LogCaptureFixture) -> None:
    sampler = GpuSampler()
    sampler.sample(5)
    driver.put("0:xid/0", "94")
    driver.put("0:xid/1", "94")
    driver.put("0:xid/2", "1234")

    found = metrics(sampler.sample(5))

    assert found == GPU_0 | {"gpu_0_xid_94_errors": 2.0, "gpu_0_xid_1234_errors": 1.0} | of_gpu(
        1, GPU_0
    )
    assert sampler.faults(5) == [
        GpuFault(0, "GpuXidError", "GPU 0: Xid 94 (contained ECC error), Xid 1234")
    ]
    assert "GPU 0: Xid 94 (contained ECC error) (logged once)" in caplog.messages


def test_xid_79_means_that_the_gpu_is_lost(driver: Driver) -> None:
    sampler = GpuSampler()
    driver.put("1:xid/0", "79")

    assert metrics(sampler.sample(5))["gpu_1_lost"] == 1.0
    assert sampler.faults(5) == [
        GpuFault(1, "GpuLost", "GPU 1 fell off the bus: Xid 79 (the GPU fell off the bus)")
    ]


@pytest.mark.parametrize(
    ("answer", "level"), [("error 9", logging.INFO), ("error 18", logging.WARNING)]
)
def test_without_a_driver_there_are_no_gpus(
    driver: Driver, caplog: pytest.LogCaptureFixture, answer: str, level: int
) -> None:
    driver.put("nvmlInitWithFlags", answer)
    sampler = GpuSampler()

    with caplog.at_level(logging.INFO):
        assert [sampler.sample(5), sampler.sample(5)] == [[], []]

    assert [r.levelno for r in caplog.records if "no GPU metrics" in r.message] == [level]


def test_the_monitor_goes_on_while_a_gpu_hangs(driver: Driver) -> None:
    driver.set({"nvmlDeviceGetCount_v2": "1", **HEALTHY, "0:nvmlDeviceGetPowerUsage": "hang"})
    samples: list[SystemSample] = []

    class Nowhere:
        def log_metrics(self, *_: object, **__: object) -> None: ...

        def set_tags(self, *_: object) -> None: ...

    monitor = SystemMonitor(
        Nowhere(),
        interval_seconds=0.1,
        sampler=SystemSampler(timeout_seconds=0.2),
        on_sample=samples.append,
    )
    monitor.start()
    wait_until(lambda: len(samples) >= 4)
    monitor.stop()

    assert not monitor.is_alive()
    assert all("cpu_utilization_percentage" in metrics(s.readings) for s in samples)
    errors = {r.labels: r.value for r in samples[-1].readings if r.quantity.labels == ("source",)}
    assert errors[("gpu 0",)] >= 4
