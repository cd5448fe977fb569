"""The kwok profile: fake nodes whose pods are steered by annotations (see the README)."""

from __future__ import annotations

from typing import Any

import yaml

from localcluster.certificates import Identity
from localcluster.components import LOOPBACK, ControlPlane
from localcluster.paths import STAGES
from localcluster.plan import Component, Health

PODS_A_NODE = "4000"
NODES = {"fake-cpu-0": "0", "fake-cpu-1": "0", "fake-gpu-0": "8", "fake-gpu-1": "8"}
POD_RANGE = "10.64.0.0/10"
SERVICE_RANGE = "10.128.0.0/16"
FIRST_SERVICE_ADDRESS = "10.128.0.1"
IDENTITY = Identity("kwok", "kwok", "system:masters")


def component(plane: ControlPlane) -> Component:
    """The kwok controller, which plays the kubelet of every node."""
    address = f"{LOOPBACK}:{plane.ports.kwok}"
    return Component(
        "kwok",
        (
            str(plane.binaries["kwok"]),
            f"--kubeconfig={plane.config('kwok.kubeconfig')}",
            f"--config={plane.config('kwok.yaml')}",
            "--manage-all-nodes=true",
            "--node-lease-duration-seconds=40",
            f"--cidr={POD_RANGE}",
            f"--node-ip={LOOPBACK}",
            f"--server-address={address}",
        ),
        Health(url=f"http://{address}/healthz"),
    )


def config() -> str:
    """Kwok's configuration: how many changes it makes at once, and all our stages."""
    options = {
        "apiVersion": "config.kwok.x-k8s.io/v1alpha1",
        "kind": "KwokConfiguration",
        "options": {
            "podPlayStageParallelism": 32,
            "nodePlayStageParallelism": 4,
            "nodeLeaseParallelism": 4,
        },
    }
    stages = [path.read_text() for path in sorted(STAGES.glob("*.yaml"))]
    return "---\n".join([yaml.safe_dump(options), *stages])


def node(name: str, gpus: str) -> dict[str, Any]:
    """The manifest of a fake node with room for thousands of pods."""
    resources = {
        "cpu": "4000",
        "memory": "32Ti",
        "ephemeral-storage": "32Ti",
        "pods": PODS_A_NODE,
    }
    if gpus != "0":
        resources["nvidia.com/gpu"] = gpus
    return {
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": {
            "name": name,
            "labels": {
                "kubernetes.io/arch": "amd64",
                "kubernetes.io/hostname": name,
                "kubernetes.io/os": "linux",
                "type": "kwok",
            },
        },
        "status": {"allocatable": resources, "capacity": resources},
    }


def nodes() -> str:
    """All fake nodes as one YAML stream."""
    return yaml.safe_dump_all([node(name, gpus) for name, gpus in NODES.items()])
