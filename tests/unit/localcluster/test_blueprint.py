"""A cluster as it is decided on before anything is started: do its parts fit together?"""

import re
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import get_args

import pytest
import yaml
from localcluster.errors import ClusterError, UnsupportedMachineError
from localcluster.paths import ClusterPaths, Profile
from localcluster.programs import KUBERNETES_CHOICE

from localcluster import blueprint, network, node

profiles = pytest.mark.parametrize("profile", get_args(Profile))


@pytest.fixture(autouse=True)
def _machine(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TRAININGJOB_CACHE_DIR", "/cache")
    monkeypatch.delenv(KUBERNETES_CHOICE, raising=False)
    monkeypatch.setattr(network, "machine_routes", lambda: ["default", "192.0.2.0/24"])


def written(planned: blueprint.Blueprint) -> set[Path]:
    """All files that `up` writes before it starts the components."""
    paths = planned.plane.paths
    authority = ("ca.crt", "service-accounts.key", "service-accounts.pub")
    return {
        *(paths.config / name for name in planned.files),
        *(paths.config / f"{name}.kubeconfig" for name in planned.kubeconfigs),
        *(paths.pki / name for name in authority),
        *(
            paths.pki / f"{one.name}.{kind}"
            for one in planned.identities
            for kind in ("crt", "key")
        ),
    }


def named(planned: blueprint.Blueprint) -> Iterator[Path]:
    """All configuration files, certificates and keys that components and files name."""
    paths = planned.plane.paths
    texts = [part for one in planned.plan.components for part in one.argv]
    texts += [part for command in planned.plan.setup for part in command]
    texts += planned.files.values()
    for directory in (paths.config, paths.pki):
        for text in texts:
            for found in re.findall(rf"{directory}/[\w./-]+", text):
                yield Path(found)


def stage_of(planned: blueprint.Blueprint) -> dict[str, int]:
    """When each component is started."""
    return {one.name: at for at, stage in enumerate(planned.plan.stages) for one in stage}


@profiles
def test_every_file_that_a_component_reads_is_written(profile: Profile) -> None:
    planned = blueprint.of(ClusterPaths.of(profile))
    directories = {parent for file in written(planned) for parent in file.parents}
    assert set(named(planned)) - written(planned) - directories == set()


@profiles
def test_every_kubeconfig_is_of_an_identity(profile: Profile) -> None:
    planned = blueprint.of(ClusterPaths.of(profile))
    assert set(planned.kubeconfigs) <= {one.name for one in planned.identities}


@profiles
def test_what_talks_to_another_component_starts_after_it(profile: Profile) -> None:
    planned = blueprint.of(ClusterPaths.of(profile))
    at = stage_of(planned)
    assert at["etcd"] < at["kube-apiserver"]
    assert all(at[name] > at["kube-apiserver"] for name in at.keys() & set(planned.kubeconfigs))
    assert profile == "kwok" or at["containerd"] < at["kubelet"]


def test_kwok_needs_no_root() -> None:
    planned = blueprint.of(ClusterPaths.of("kwok"))
    assert (planned.network, planned.plan.setup, planned.state.cgroup) == (None, (), "")


def test_images_outlive_a_node_and_its_volumes_do_not() -> None:
    planned = blueprint.of(ClusterPaths.of("node"))
    root = planned.plane.paths.root
    containerd = tomllib.loads(planned.files["containerd.toml"])
    assert Path(containerd["root"]).is_relative_to("/cache")
    assert not Path(containerd["root"]).is_relative_to(root)
    (provisioner,) = (one for one in planned.plan.components if one.name == "provisioner")
    (volumes,) = (part for part in provisioner.argv if part.startswith("--directory="))
    assert Path(volumes.removeprefix("--directory=")).is_relative_to(root)


def test_the_storage_class_is_served_by_the_provisioner_of_the_node() -> None:
    planned = blueprint.of(ClusterPaths.of("node"))
    (provisioner,) = (one for one in planned.plan.components if one.name == "provisioner")
    assert f"--name={yaml.safe_load(planned.objects)['provisioner']}" in provisioner.argv


def test_the_kubelet_finds_the_kernel_settings_that_it_wants() -> None:
    planned = blueprint.of(ClusterPaths.of("node"))
    shown = {
        Path(target).relative_to("/proc/sys"): Path(source)
        for (*_, source, target) in planned.plan.setup
        if target.startswith("/proc/sys/")
    }
    config = planned.plane.paths.config
    assert {
        str(setting): planned.files[str(source.relative_to(config))].strip()
        for setting, source in shown.items()
    } == node.KERNEL_SETTINGS


def test_the_cache_must_not_be_where_the_node_hides_directories() -> None:
    with pytest.raises(UnsupportedMachineError, match="must not be in /var/lib"):
        blueprint.of(ClusterPaths("node", Path("/var/lib/cache/clusters/node")))


def test_an_older_kubernetes_runs_beside_the_same_etcd_and_kwok(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    newest = blueprint.of(ClusterPaths.of("kwok")).plane.binaries
    monkeypatch.setenv(KUBERNETES_CHOICE, "1.34")
    older = blueprint.of(ClusterPaths.of("kwok")).plane.binaries
    assert newest.keys() == older.keys()
    assert {name for name in newest if newest[name] == older[name]} == {"etcd", "kwok"}


def test_a_kubernetes_that_nothing_pins(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(KUBERNETES_CHOICE, "1.33")
    with pytest.raises(
        ClusterError, match=r"^TRAININGJOB_KUBERNETES=1\.33: must be one of 1\.\d+, 1\.34$"
    ):
        blueprint.of(ClusterPaths.of("kwok"))
