from pathlib import Path

import pytest
from localcluster.errors import UnsupportedMachineError
from localcluster.paths import ClusterPaths
from localcluster.state import State

from localcluster import blueprint, network


@pytest.fixture(autouse=True)
def _machine(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TRAININGJOB_CACHE_DIR", "/cache")
    monkeypatch.setattr(network, "machine_routes", lambda: ["default", "192.0.2.0/24"])


def stages_of(planned: blueprint.Blueprint) -> list[list[str]]:
    return [[component.name for component in stage] for stage in planned.plan.stages]


def test_node() -> None:
    planned = blueprint.of(ClusterPaths.of("node"))
    assert stages_of(planned) == [
        ["etcd", "containerd"],
        ["kube-apiserver"],
        ["kube-controller-manager", "kube-scheduler"],
        ["kubelet", "kube-proxy", "coredns", "provisioner"],
    ]
    assert planned.state == State(
        engine="embedded",
        node_address="10.231.255.2",
        host_link="tjnode-4f7cfe",
        cgroup="trainingjob-node-4f7cfe",
    )
    assert planned.plan.wait_for_link == "eth0"
    assert sorted(planned.files) == [
        "Corefile",
        "audit-policy.yaml",
        "cni/10-pods.conflist",
        "containerd.toml",
        "kube-proxy.yaml",
        "kubelet.yaml",
        "resolv.conf",
        "scheduler.yaml",
        "sys/kernel/keys/root_maxbytes",
        "sys/kernel/keys/root_maxkeys",
        "sys/kernel/panic",
        "sys/kernel/panic_on_oops",
        "sys/vm/overcommit_memory",
        "sys/vm/panic_on_oom",
    ]


def test_kwok_needs_neither_namespaces_nor_setup() -> None:
    planned = blueprint.of(ClusterPaths.of("kwok"))
    assert stages_of(planned) == [
        ["etcd"],
        ["kube-apiserver"],
        ["kube-controller-manager", "kube-scheduler", "kwok"],
    ]
    assert (planned.network, planned.plan.setup) == (None, ())
    assert planned.state == State(engine="embedded")


def test_the_cache_must_not_be_where_the_node_hides_directories() -> None:
    with pytest.raises(UnsupportedMachineError, match="must not be in /var/lib"):
        blueprint.of(ClusterPaths("node", Path("/var/lib/cache/clusters/node")))
