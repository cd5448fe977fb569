"""What a sample holds of the pod: control group, volumes, network, processes."""

import errno
import logging
import os
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path

import psutil
import pytest
from trainingjob_agent.monitor import Reading
from trainingjob_agent.monitor.cgroup import Cgroup
from trainingjob_agent.monitor.network import NetworkReader
from trainingjob_agent.monitor.pod import CpuReader, MemoryReader
from trainingjob_agent.monitor.processes import ProcessReader
from trainingjob_agent.monitor.sampler import SystemSampler
from trainingjob_agent.monitor.volumes import VolumeReader, mount_points


def pod(tmp_path: Path, **files: str) -> Cgroup:
    """A control group of version 2; `cpu_max` is the content of `cpu.max`."""
    files = {"cgroup_controllers": "cpu memory", **files}
    for name, content in files.items():
        (tmp_path / name.replace("_", ".", 1)).write_text(content + "\n")
    return Cgroup.of_this_process(tmp_path, tmp_path / "no membership")


def by_name(readings: Iterable[Reading]) -> dict[str, float]:
    """Values by their MLflow or else their Prometheus name."""
    return {r.mlflow_name or r.quantity.prometheus: r.mlflow_value for r in readings}


def test_names_that_mlflow_has_too_are_the_same() -> None:
    assert {
        "cpu_utilization_percentage",
        "system_memory_usage_megabytes",
        "system_memory_usage_percentage",
        "network_receive_megabytes",
        "network_transmit_megabytes",
        "disk_usage_percentage",
        "disk_usage_megabytes",
        "disk_available_megabytes",
    } <= set(SystemSampler().sample().mlflow_metrics())


def test_cpu_against_the_limit_with_throttling(tmp_path: Path) -> None:
    def stat(periods: int, throttled: int, microseconds: int) -> str:
        counts = f"nr_periods {periods}\nnr_throttled {throttled}\nthrottled_usec {microseconds}"
        return f"usage_usec 0\n{counts}"

    reader = CpuReader(pod(tmp_path, cpu_max="150000 100000", cpu_stat=stat(10, 0, 0)))
    pod(tmp_path, cpu_stat=stat(30, 5, 250_000))

    found = by_name(reader.read())

    assert found == {
        "trainingjob_cpu_usage_cores": 0.0,
        "cpu_limit_cores": 1.5,
        "cpu_utilization_percentage": 0.0,
        "cpu_limit_is_host": 0.0,
        "trainingjob_cpu_periods": 30,
        "trainingjob_cpu_throttled_periods": 5,
        "cpu_throttled_seconds": 0.25,
        "cpu_throttled_percentage": 25.0,
    }


def test_memory_is_the_working_set_against_the_limit(tmp_path: Path) -> None:
    files = {"memory_current": "300000000", "memory_max": "400000000"}
    reader = MemoryReader(pod(tmp_path, **files, memory_stat="inactive_file 200000000"))

    found = by_name(reader.read())
    found.pop("host_memory_available_megabytes")

    assert found == {
        "system_memory_usage_megabytes": 100.0,
        "system_memory_limit_megabytes": 400.0,
        "system_memory_usage_percentage": 25.0,
        "system_memory_limit_is_host": 0.0,
    }


@pytest.mark.parametrize("limit", ["max", str(1 << 50)])
def test_without_a_limit_the_host_stands_for_it_and_that_is_said(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, limit: str
) -> None:
    files = {"cpu_max": "max 100000", "cpu_stat": "usage_usec 0", "memory_max": limit}
    cgroup = pod(tmp_path, **files, memory_current="100")
    with caplog.at_level(logging.INFO):
        found = by_name([*CpuReader(cgroup).read(), *MemoryReader(cgroup).read()])

    assert found["cpu_limit_is_host"] == found["system_memory_limit_is_host"] == 1.0
    assert found["cpu_limit_cores"] == psutil.cpu_count()
    assert found["system_memory_limit_megabytes"] == round(psutil.virtual_memory().total / 1e6, 3)
    assert any(m.startswith("no CPU limit here") for m in caplog.messages)


def test_storage_is_told_from_the_kernels_own_file_systems(tmp_path: Path) -> None:
    data, secret, file = tmp_path / "my data", tmp_path / "secret", tmp_path / "hosts"
    data.mkdir()
    secret.mkdir()
    file.touch()
    mounts = tmp_path / "mounts"
    mounts.write_text(
        "overlay / overlay rw 0 0\n"
        "proc /proc proc rw 0 0\n"
        "tmpfs /dev/shm tmpfs rw 0 0\n"
        f"tmpfs {secret} tmpfs ro 0 0\n"
        f"/dev/sda {file} ext4 rw 0 0\n"
        f"server:/export {str(data).replace(' ', chr(92) + '040')} nfs4 rw 0 0\n"
    )

    assert mount_points(mounts) == ["/", "/dev/shm", str(file), str(data)]  # noqa: S108 - a mount point

    space = os.statvfs(data)
    name = f"volume_{str(data)[1:].replace('/', '_')}"
    found = by_name(VolumeReader(mounts).read())
    assert {"disk_usage_percentage", f"{name}_usage_percentage"} <= set(found)
    assert not any("hosts" in metric for metric in found)
    assert found[f"{name}_usage_megabytes"] == pytest.approx(
        (space.f_blocks - space.f_bfree) * space.f_frsize / 1e6, rel=0.05
    )


def test_traffic_since_the_start_and_per_second() -> None:
    reader = NetworkReader()

    assert set(by_name(reader.read())) == {
        "network_receive_megabytes",
        "network_transmit_megabytes",
        "network_receive_megabytes_per_second",
        "network_transmit_megabytes_per_second",
    }


def test_the_processes_of_all_ranks_of_the_node() -> None:
    torchrun = subprocess.run(
        [sys.executable, "-c", PROBE],
        env={**os.environ, "LOCAL_WORLD_SIZE": "2"},
        stdout=subprocess.PIPE,
        text=True,
        timeout=60,
        check=True,
    )

    assert torchrun.stdout.strip() == str(
        [
            f"rank_{rank}_{what}"
            for rank in (2, 3)
            for what in ("memory_usage_megabytes", "threads", "open_files")
        ]
    )


PROBE = """
import os, subprocess, sys

def start(rank, script):
    return subprocess.Popen([sys.executable, "-c", script], env={**os.environ, "RANK": rank},
                            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

other = start("3", "import sys; print(flush=True); sys.stdin.read()")
other.stdout.readline()
watching = start("2", "from trainingjob_agent.monitor.processes import ProcessReader as P;"
                      "print([r.mlflow_name for r in P().read()])")
print(watching.communicate()[0])
other.communicate()
"""
"""A torchrun in small: two ranks, the second of which watches the node."""


def test_a_process_that_ended_is_left_out() -> None:
    reader = ProcessReader({"RANK": "0", "LOCAL_WORLD_SIZE": "2"})
    child = subprocess.Popen([sys.executable, "-c", ""])
    reader._ranks["1"] = psutil.Process(child.pid)
    child.wait()

    assert {r.labels for r in reader.read()} == {("0",)}


def test_what_cannot_be_read_costs_its_own_values_and_is_logged_once(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    sampler = SystemSampler(volumes=VolumeReader(tmp_path / "absent"))

    samples = [sampler.sample() for _ in range(3)]

    assert all("cpu_utilization_percentage" in s.mlflow_metrics() for s in samples)
    assert not any("disk_usage_percentage" in s.mlflow_metrics() for s in samples)
    assert sum(m.startswith("volumes: FileNotFoundError") for m in caplog.messages) == 1
    errors = [r for r in samples[-1].readings if r.quantity.labels == ("source",)]
    assert [(r.labels, r.value) for r in errors] == [(("volumes",), 3)]


def test_a_volume_that_fails_costs_its_values_only(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    gone = tmp_path / "gone"
    gone.mkdir()
    reader = VolumeReader(mounts := tmp_path / "mounts")
    mounts.write_text(f"server:/export {gone} nfs4 rw 0 0\n")
    whole = set(by_name(reader.read()))

    def statvfs(path: str) -> os.statvfs_result:
        if path == str(gone):
            raise OSError(errno.ESTALE, "Stale file handle")
        return real(path)

    real = os.statvfs
    monkeypatch.setattr("os.statvfs", statvfs)

    found = set(by_name(reader.read()))
    assert {n for n in whole if n.startswith("disk_")} == found
    assert caplog.messages == [
        f"volumes: no space of {gone}: [Errno 116] Stale file handle (logged once)"
    ]


def test_a_volume_that_hangs_costs_its_values_only(tmp_path: Path) -> None:
    mounts = tmp_path / "mounts"
    os.mkfifo(mounts)  # opening it waits for a writer
    sampler = SystemSampler(volumes=VolumeReader(mounts), timeout_seconds=0.2)

    assert "disk_usage_percentage" not in sampler.sample().mlflow_metrics()

    assert "cpu_utilization_percentage" in sampler.sample().mlflow_metrics()
    mounts.write_text("")
