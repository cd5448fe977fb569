from pathlib import Path

from localcluster import cgroups


def version_1(mount: Path) -> None:
    for controller in ("cpuset", "memory"):
        (mount / controller).mkdir()
        (mount / controller / "cgroup.procs").touch()
    for setting, value in (("cpuset.cpus", "0-1"), ("cpuset.mems", "0")):
        (mount / "cpuset" / setting).write_text(value)
    (mount / "cpu,cpuacct").symlink_to("memory")


def test_version_1_has_a_hierarchy_a_controller(tmp_path: Path) -> None:
    version_1(tmp_path)
    assert cgroups.hierarchies(tmp_path) == [tmp_path / "cpuset", tmp_path / "memory"]


def test_version_2_has_one_hierarchy(tmp_path: Path) -> None:
    (tmp_path / "cgroup.controllers").write_text("cpu memory misc")
    assert cgroups.hierarchies(tmp_path) == [tmp_path]


def test_version_2_hands_controllers_down(tmp_path: Path) -> None:
    (tmp_path / "cgroup.controllers").write_text("cpu memory misc pids")
    cgroups.create("pods", tmp_path)
    assert (tmp_path / "pods").is_dir()
    assert (tmp_path / "cgroup.subtree_control").read_text() == "+cpu +memory +pids"


def test_version_1_cpusets_start_like_their_parent(tmp_path: Path) -> None:
    version_1(tmp_path)
    (tmp_path / "cpuset" / "pods").mkdir()
    for setting in ("cpuset.cpus", "cpuset.mems"):
        (tmp_path / "cpuset" / "pods" / setting).touch()
    cgroups.create("pods", tmp_path)
    assert (tmp_path / "cpuset" / "pods" / "cpuset.cpus").read_text() == "0-1"
    assert (tmp_path / "cpuset" / "pods" / "cpuset.mems").read_text() == "0"


def test_remove_goes_from_the_inside_out(tmp_path: Path) -> None:
    version_1(tmp_path)
    (tmp_path / "memory" / "pods" / "burstable" / "pod1").mkdir(parents=True)
    cgroups.remove("pods", tmp_path)
    assert sorted(path.name for path in (tmp_path / "memory").iterdir()) == ["cgroup.procs"]
