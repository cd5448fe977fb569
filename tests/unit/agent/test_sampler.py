"""What a sample holds of the pod: control group, volumes, network, processes."""

import json
import logging
import os
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path

import psutil
import pytest
from trainingjob_agent.monitor import Reading
from trainingjob_agent.monitor import quantities as q
from trainingjob_agent.monitor.cgroup import Cgroup
from trainingjob_agent.monitor.network import InfinibandReader, NetworkReader
from trainingjob_agent.monitor.pod import CpuReader, MemoryReader, WaitingReader
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
    } <= set(by_name(SystemSampler().sample().readings))


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
        "cpu_limit_is_host": 0.0,
        "cpu_utilization_percentage": 0.0,
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


def test_storage_is_distinguished_from_the_kernels_own_file_systems(tmp_path: Path) -> None:
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

    assert mount_points(mounts.read_text()) == ["/", "/dev/shm", str(file), str(data)]  # noqa: S108 - a mount point

    space = os.statvfs(data)
    name = f"volume_{str(data)[1:].replace('/', '_')}"
    found = by_name(VolumeReader(mounts).read())
    assert {"disk_usage_percentage", f"{name}_usage_percentage"} <= set(found)
    assert not any("hosts" in metric for metric in found)
    assert found[f"{name}_usage_megabytes"] == pytest.approx(
        (space.f_blocks - space.f_bfree) * space.f_frsize / 1e6, rel=0.05
    )


def test_cpu_against_the_cores_that_the_pod_may_use_where_it_has_no_quota(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {0, 2, 4})  # as by `--cpuset-cpus`
    monkeypatch.setattr(psutil, "cpu_count", lambda: 64)

    unlimited = CpuReader(pod(tmp_path, cpu_max="max 100000", cpu_stat="usage_usec 0"))
    found = by_name(unlimited.read())
    assert (found["cpu_limit_cores"], found["cpu_limit_is_host"]) == (3.0, 0.0)

    wide = CpuReader(pod(tmp_path, cpu_max="800000 100000", cpu_stat="usage_usec 0"))
    assert by_name(wide.read())["cpu_limit_cores"] == 3.0


def test_what_the_pod_waits_for_and_its_traffic_to_storage(tmp_path: Path) -> None:
    def files(seconds: int, megabytes: int) -> dict[str, str]:
        stalled = f"some avg10=0.00 avg60=0.00 avg300=0.00 total={seconds * 1_000_000}"
        return {
            "memory_pressure": f"{stalled}\nfull avg10=0.00 avg60=0.00 avg300=0.00 total=0",
            "io_pressure": stalled,
            "io_stat": f"8:0 rbytes={megabytes}000000 wbytes=0 rios=1 wios=0 dbytes=0 dios=0\n"
            f"8:16 rbytes=500000 wbytes={2 * megabytes}000000 rios=1 wios=1 dbytes=0 dios=0",
        }

    reader = WaitingReader(pod(tmp_path, **files(seconds=1, megabytes=10)))
    pod(tmp_path, **files(seconds=3601, megabytes=14))

    found = reader.read()
    named = by_name(found)
    assert {r.labels: r.value for r in found if r.quantity is q.PRESSURE_SECONDS} == {
        ("memory",): 3601.0,
        ("io",): 3601.0,
    }
    assert (named["memory_pressure_percentage"], named["io_pressure_percentage"]) == (100, 100)
    assert "cpu_pressure_percentage" not in named
    assert (named["storage_read_megabytes"], named["storage_written_megabytes"]) == (4.0, 8.0)
    assert named["storage_read_megabytes_per_second"] > 0


def test_infiniband_ports_count_words_of_four_bytes(tmp_path: Path) -> None:
    counters = tmp_path / "mlx5_0" / "ports" / "1" / "counters"
    counters.mkdir(parents=True)
    (counters / "port_rcv_data").write_text("1000\n")
    (counters / "port_xmit_data").write_text("0\n")
    without_counters = tmp_path / "mlx5_1" / "ports" / "1"
    without_counters.mkdir(parents=True)
    reader = InfinibandReader(tmp_path)
    (counters / "port_rcv_data").write_text("501000\n")

    found = by_name(reader.read())
    assert not any("mlx5_1" in name for name in found)
    assert found["infiniband_mlx5_0_1_receive_megabytes"] == 2.0
    assert found["infiniband_mlx5_0_1_transmit_megabytes"] == 0.0
    assert found["infiniband_mlx5_0_1_receive_megabytes_per_second"] > 0
    assert InfinibandReader(tmp_path / "none").read() == []


def test_traffic_since_the_start_and_per_second() -> None:
    reader = NetworkReader()

    assert set(by_name(reader.read())) == {
        "network_receive_megabytes",
        "network_transmit_megabytes",
        "network_receive_megabytes_per_second",
        "network_transmit_megabytes_per_second",
    }


@pytest.mark.parametrize(
    "launcher",
    [
        pytest.param({}, id="torchrun"),
        pytest.param({"RANK": "2", "WORLD_SIZE": "4"}, id="torchrun in a pod with a rank"),
    ],
)
def test_the_processes_of_all_ranks_of_the_node(launcher: dict[str, str]) -> None:
    torchrun = subprocess.run(
        [sys.executable, "-c", PROBE],
        env={**os.environ, **launcher},
        stdout=subprocess.PIPE,
        text=True,
        timeout=60,
        check=True,
    )

    found = json.loads(torchrun.stdout)
    measured = {"memory_usage_megabytes", "threads", "open_files"}
    measured |= {"workers_memory_usage_megabytes", "workers"}
    assert found.keys() == {f"rank_{rank}_{what}" for rank in (2, 3) for what in measured}
    assert (found["rank_2_workers"], found["rank_3_workers"]) == (0, 1)
    assert found["rank_2_workers_memory_usage_megabytes"] == 0
    assert found["rank_3_workers_memory_usage_megabytes"] > 1


PROBE = """
import os, subprocess, sys

def start(rank, script):
    ranks = {"RANK": rank, "LOCAL_RANK": str(int(rank) - 2), "TORCHELASTIC_RUN_ID": "none"}
    return subprocess.Popen([sys.executable, "-c", script], env={**os.environ, **ranks},
                            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

other = start("3", "import os, sys; r, w = os.pipe(); child = os.fork();"
                   "child or (os.close(w), os.read(r, 1), os._exit(0));"
                   "print(flush=True); sys.stdin.read()")
other.stdout.readline()
watching = start("2", "import json; from trainingjob_agent.monitor.processes import ProcessReader;"
                      "found = ProcessReader().read();"
                      "print(json.dumps({r.mlflow_name: r.mlflow_value for r in found}))")
print(watching.communicate()[0])
other.communicate()
"""
"""A torchrun in small: two ranks, one of which watches the node; the other has a worker."""


def test_a_process_that_ended_is_left_out() -> None:
    child = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    reader = ProcessReader(child.pid)
    assert {r.labels for r in reader.read()} == {("0",)}

    child.communicate(b"\n")

    assert reader.read() == []
