import tempfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from trainingjob_agent.monitor.cgroup import Cgroup, Throttling

MEBIBYTE = 1 << 20


def write(root: Path, files: dict[str, str]) -> None:
    for name, content in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content + "\n")


def readings(cgroup: Cgroup) -> dict[str, object]:
    return {
        "cpu seconds": cgroup.cpu_seconds(),
        "cpu limit": cgroup.cpu_limit_cores(),
        "memory": cgroup.memory_working_set_bytes(),
        "memory limit": cgroup.memory_limit_bytes(),
        "throttling": cgroup.throttling(),
    }


V2 = {
    "cgroup.controllers": "cpu memory",
    "cpu.stat": "usage_usec 2500000\nnr_periods 40\nnr_throttled 10\nthrottled_usec 1500000",
    "cpu.max": "150000 100000",
    "memory.current": str(300 * MEBIBYTE),
    "memory.max": str(512 * MEBIBYTE),
    "memory.stat": f"anon 1\ninactive_file {100 * MEBIBYTE}",
}
V1 = {
    "cpu/cpu.cfs_quota_us": "150000",
    "cpu/cpu.cfs_period_us": "100000",
    "cpu/cpu.stat": "nr_periods 40\nnr_throttled 10\nthrottled_time 1500000000",
    "cpuacct/cpuacct.usage": "2500000000",
    "memory/memory.usage_in_bytes": str(300 * MEBIBYTE),
    "memory/memory.limit_in_bytes": str(512 * MEBIBYTE),
    "memory/memory.stat": f"total_rss 1\ntotal_inactive_file {100 * MEBIBYTE}",
}
LIMITED = {
    "cpu seconds": 2.5,
    "cpu limit": 1.5,
    "memory": 200 * MEBIBYTE,
    "memory limit": 512 * MEBIBYTE,
    "throttling": Throttling(40, 10, 1.5),
}
UNLIMITED_V2 = {"cpu.max": "max 100000", "memory.max": "max"}
UNLIMITED_V1 = {"cpu/cpu.cfs_quota_us": "-1", "memory/memory.limit_in_bytes": "9223372036854771712"}


@pytest.mark.parametrize(
    ("files", "membership", "expected"),
    [
        pytest.param(V2, "0::/", LIMITED, id="v2 in a pod"),
        pytest.param(V2, "0::/kubepods/pod1/c1", LIMITED, id="v2, path only the host has"),
        pytest.param(
            V2 | UNLIMITED_V2,
            "0::/",
            LIMITED | {"cpu limit": None, "memory limit": None},
            id="v2 without limits",
        ),
        pytest.param(V1, "4:memory:/\n2:cpu,cpuacct:/", LIMITED, id="v1 in a pod"),
        pytest.param(V2, "0::/../other", LIMITED, id="v2, path that leads out"),
        pytest.param(V2, "nonsense", LIMITED, id="v2, no such line"),
        pytest.param(V1, "4:memory:/kubepods/p\n2:cpu,cpuacct:/k", LIMITED, id="v1, host's path"),
        pytest.param(
            V1 | UNLIMITED_V1,
            "4:memory:/\n2:cpu,cpuacct:/",
            LIMITED | {"cpu limit": None, "memory limit": None},
            id="v1 without limits",
        ),
        pytest.param({}, "0::/", dict.fromkeys(LIMITED), id="no control groups"),
    ],
)
def test_limits_and_usage_of_the_pod(
    tmp_path: Path,
    files: dict[str, str],
    membership: str,
    expected: dict[str, object],
) -> None:
    write(tmp_path, {**{f"fs/{name}": text for name, text in files.items()}, "self": membership})

    cgroup = Cgroup.of_this_process(tmp_path / "fs", tmp_path / "self")

    assert readings(cgroup) == expected


def test_a_narrower_limit_of_a_parent_counts(tmp_path: Path) -> None:
    child = {f"fs/pod/container/{name}": text for name, text in (V2 | UNLIMITED_V2).items()}
    write(
        tmp_path,
        {
            **child,
            "fs/cgroup.controllers": "cpu memory",
            "fs/pod/memory.max": str(64 * MEBIBYTE),
            "fs/pod/cpu.max": "50000 100000",
            "fs/pod/cpu.stat": "nr_periods 9\nnr_throttled 8\nthrottled_usec 7000000",
            "self": "0::/pod/container",
        },
    )

    cgroup = Cgroup.of_this_process(tmp_path / "fs", tmp_path / "self")

    assert cgroup.memory_limit_bytes() == 64 * MEBIBYTE
    assert cgroup.cpu_limit_cores() == 0.5
    assert cgroup.throttling() == Throttling(9, 8, 7.0)


def test_a_kernel_that_does_not_count_throttling(tmp_path: Path) -> None:
    write(tmp_path, {"cgroup.controllers": "cpu", "cpu.stat": "usage_usec 1", "self": "0::/"})

    assert Cgroup.of_this_process(tmp_path, tmp_path / "self").throttling() is None


@pytest.mark.parametrize(
    ("file", "lost"),
    [
        ("cpu.stat", {"cpu seconds", "throttling"}),
        ("cpu.max", {"cpu limit"}),
        ("memory.current", {"memory"}),
        ("memory.max", {"memory limit"}),
    ],
)
@pytest.mark.parametrize("content", ["", "max", "²", "9" * 5000, "a b", "-1 0", "0 0", None])
def test_a_file_that_cannot_be_read_costs_its_own_values(
    tmp_path: Path, file: str, lost: set[str], content: str | None
) -> None:
    write(tmp_path, {**V2, "self": "0::/"})
    (tmp_path / file).unlink()
    if content is None:
        (tmp_path / file).mkdir()  # reading it is an error, whoever asks
    else:
        (tmp_path / file).write_text(content)
    noted: list[str] = []

    found = readings(Cgroup.of_this_process(tmp_path, tmp_path / "self", noted.append))

    assert found == LIMITED | dict.fromkeys(lost)
    assert set(noted) == (
        {f"cannot read {tmp_path / file}: Is a directory"} if content is None else set()
    )


WORDS = ["some", "total=5", "rbytes=7", "usage_usec", "nr_periods", "max", "-1", "0", "8:0", "\n"]
ANY_TEXT = st.text() | st.lists(st.sampled_from([*V2, *WORDS])).map(" ".join)


@settings(deadline=None)
@given(
    st.dictionaries(
        st.sampled_from([*V2, *V1, "cpu.pressure", "io.stat", "memory.events"]), ANY_TEXT
    ),
    ANY_TEXT,
)
def test_whatever_the_files_hold_nothing_is_raised(files: dict[str, str], membership: str) -> None:
    with tempfile.TemporaryDirectory() as directory:
        root = Path(directory)
        write(root, {**files, "self": membership})
        cgroup = Cgroup.of_this_process(root, root / "self")

        found = readings(cgroup)
        counted: list[object] = [cgroup.storage_bytes(), cgroup.out_of_memory_kills()]
        counted += [cgroup.stalled_seconds(resource) for resource in ("cpu", "memory", "io")]

    limits = found["cpu limit"], found["memory limit"]
    assert all(limit is None or (isinstance(limit, float | int) and limit > 0) for limit in limits)
    kinds = int, float, tuple, Throttling, type(None)
    assert all(isinstance(value, kinds) for value in [*found.values(), *counted])
