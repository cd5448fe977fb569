"""Everything about a cluster that is decided before anything is started."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from localcluster import gobuild, kwok, network, node, programs, storage
from localcluster.components import (
    ADMIN,
    LOOPBACK,
    ControlPlane,
    Ports,
    apiserver,
    audit_policy,
    control_plane_identities,
    controller_manager,
    etcd,
    scheduler,
    scheduler_config,
)
from localcluster.errors import UnsupportedMachineError
from localcluster.paths import ClusterPaths, cache_directory
from localcluster.plan import Plan
from localcluster.state import State

if TYPE_CHECKING:
    from localcluster.certificates import Identity
    from localcluster.network import NodeNetwork

ENGINE = "embedded"


@dataclass(frozen=True)
class Blueprint:
    """A cluster that is ready to be written to disk and started.

    ``kubeconfigs`` names the identities that get a kubeconfig each; ``objects`` are what the
    cluster has from its start, as YAML.
    """

    plane: ControlPlane
    plan: Plan
    identities: tuple[Identity, ...]
    kubeconfigs: tuple[str, ...]
    files: dict[str, str]
    objects: str
    state: State
    network: NodeNetwork | None = field(default=None)


def of(paths: ClusterPaths) -> Blueprint:
    """The cluster of the profile that ``paths`` belongs to."""
    return _of_node(paths) if paths.profile == "node" else _of_kwok(paths)


def _of_kwok(paths: ClusterPaths) -> Blueprint:
    """The kwok profile: all on loopback, on ports that are free now."""
    ports = network.choose_ports(network.is_free, network.reserve)
    names = programs.kwok_tools(programs.chosen_kubernetes())
    binaries = {program: gobuild.binary_path(name) for program, name in names.items()}
    plane = ControlPlane(paths, binaries, LOOPBACK, kwok.SERVICE_RANGE, kwok.POD_RANGE, ports)
    stages = (
        (etcd(plane),),
        (apiserver(plane),),
        (controller_manager(plane), scheduler(plane), kwok.component(plane)),
    )
    return Blueprint(
        plane=plane,
        plan=Plan(str(paths.logs), str(paths.health), str(paths.stopped), stages),
        identities=(
            *control_plane_identities(LOOPBACK, kwok.FIRST_SERVICE_ADDRESS),
            kwok.IDENTITY,
        ),
        kubeconfigs=("controller-manager", "scheduler", kwok.IDENTITY.name, ADMIN),
        files={**_control_plane_files(plane), "kwok.yaml": kwok.config()},
        objects=kwok.nodes(),
        state=State(ENGINE),
    )


def _of_node(paths: ClusterPaths) -> Blueprint:
    """The node profile: all in namespaces of its own, on the usual ports there."""
    hidden = [name for name in node.PRIVATE_DIRECTORIES if paths.root.is_relative_to(name)]
    if hidden:
        raise UnsupportedMachineError(
            f"TRAININGJOB_CACHE_DIR must not be in {hidden[0]}, which the node has for itself"
        )
    joined = network.choose_network(cache_directory(), network.machine_routes())
    binaries = {name: gobuild.binary_path(name) for name in programs.NODE_TOOLS}
    plane = ControlPlane(
        paths, binaries, joined.node, str(joined.services), str(joined.pods), Ports()
    )
    cgroup = f"trainingjob-node-{network.unique_suffix(cache_directory())}"
    stages = (
        (etcd(plane), node.containerd(plane)),
        (apiserver(plane),),
        (controller_manager(plane), scheduler(plane)),
        (
            node.kubelet(plane),
            node.kube_proxy(plane),
            node.coredns(plane),
            storage.component(plane),
        ),
    )
    first_service = str(joined.services.network_address + 1)
    return Blueprint(
        plane=plane,
        plan=Plan(
            str(paths.logs),
            str(paths.health),
            str(paths.stopped),
            stages,
            setup=(
                *network.node_setup(joined),
                *node.private_mounts(),
                *node.kernel_setting_mounts(plane),
            ),
            wait_for_link=network.NODE_LINK,
        ),
        identities=(
            *control_plane_identities(joined.node, first_service),
            *node.identities(joined.node),
            storage.IDENTITY,
        ),
        kubeconfigs=(
            *("controller-manager", "scheduler", "kubelet", "kube-proxy", "coredns"),
            *(storage.IDENTITY.name, ADMIN),
        ),
        files={**_control_plane_files(plane), **node.files(plane, cgroup)},
        objects=storage.storage_class(),
        state=State(ENGINE, joined.node, joined.host_link, cgroup),
        network=joined,
    )


def _control_plane_files(plane: ControlPlane) -> dict[str, str]:
    return {
        "audit-policy.yaml": audit_policy(),
        "scheduler.yaml": scheduler_config(plane.config("scheduler.kubeconfig")),
    }
