"""What a sample lacks where one of its sources fails or hangs."""

import errno
import os
import threading
from pathlib import Path

import pytest
from trainingjob_agent.monitor import Reading
from trainingjob_agent.monitor.network import NetworkReader
from trainingjob_agent.monitor.sampler import SystemSampler
from trainingjob_agent.monitor.volumes import VolumeReader

from tests.unit.agent.test_sampler import by_name


class Broken:
    """A reader that fails to read, or even to be made."""

    def __init__(self, made: bool) -> None:
        if not made:
            raise PermissionError(errno.EACCES, "Permission denied", "/sys/fs/cgroup/cpu.stat")

    def read(self) -> list[Reading]:
        raise ValueError("not what the kernel documents")


@pytest.mark.parametrize("source", ["cpu", "memory", "network", "processes", "volumes"])
@pytest.mark.parametrize(
    ("made", "problem"),
    [
        (False, "PermissionError(13, 'Permission denied')"),
        (True, "ValueError('not what the kernel documents')"),
    ],
)
def test_a_source_that_cannot_be_made_or_read_costs_its_own_values_and_is_logged_once(
    source: str, made: bool, problem: str, caplog: pytest.LogCaptureFixture
) -> None:
    healthy = SystemSampler().sample()
    sampler = SystemSampler({source: lambda: Broken(made)})

    samples = [sampler.sample() for _ in range(3)]

    without = [by_name(sample.readings).keys() for sample in samples]
    lost = by_name(healthy.readings).keys() - without[-1]
    assert {SOURCES[name] for name in lost if name in SOURCES} == {source}
    assert [m for m in caplog.messages if m.startswith(f"{source}: ")] == [
        f"{source}: {problem} (logged once)"
    ]
    errors = [r for r in samples[-1].readings if r.quantity.labels == ("source",)]
    assert [(r.labels, r.value) for r in errors] == [((source,), 3 if made else 4)]


SOURCES = {
    "cpu_utilization_percentage": "cpu",
    "system_memory_usage_megabytes": "memory",
    "network_receive_megabytes": "network",
    "rank_0_threads": "processes",
    "disk_usage_percentage": "volumes",
}


def test_a_source_that_hangs_as_it_is_made_costs_its_values_only() -> None:
    answer = threading.Event()

    def hang() -> Broken:
        answer.wait()
        return Broken(made=True)

    sampler = SystemSampler({"cpu": hang}, timeout_seconds=0.3)

    names = by_name(sampler.sample().readings)

    answer.set()
    assert "disk_usage_percentage" in names
    assert "cpu_utilization_percentage" not in names


def test_a_source_is_made_again_until_that_works(tmp_path: Path) -> None:
    table = tmp_path / "dev"
    sampler = SystemSampler({"network": lambda: NetworkReader(table)})
    assert "network_receive_megabytes" not in by_name(sampler.sample().readings)

    table.write_text(f"head\nhead\nlo: {ROW.format(7, 7)}\neth0: {ROW.format(10**6, 2 * 10**6)}\n")
    sampler.sample()
    table.write_text(f"head\nhead\nlo: {ROW.format(9, 9)}\neth0: {ROW.format(5 * 10**6, 10**7)}\n")

    found = by_name(sampler.sample().readings)
    assert (found["network_receive_megabytes"], found["network_transmit_megabytes"]) == (4.0, 8.0)


ROW = "{} 0 0 0 0 0 0 0 {} 0 0 0 0 0 0 0"


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
    sampler = SystemSampler({"volumes": lambda: VolumeReader(mounts)}, timeout_seconds=0.3)

    assert "disk_usage_percentage" not in by_name(sampler.sample().readings)

    assert "cpu_utilization_percentage" in by_name(sampler.sample().readings)
    mounts.write_text("")
