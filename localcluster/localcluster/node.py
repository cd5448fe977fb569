"""Command lines and configuration files of a real node: pure builders."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import yaml

from localcluster.certificates import Identity
from localcluster.components import LOOPBACK
from localcluster.plan import Component, Health

if TYPE_CHECKING:
    from localcluster.components import ControlPlane

NODE_NAME = "trainingjob-node"
CONTAINERD_SOCKET = "/run/containerd/containerd.sock"
CNI_PROGRAMS = "/usr/lib/cni"
PAUSE_IMAGE = "docker.io/trainingjob/pause:dev"
PRIVATE_DIRECTORIES = ("/run", "/var/lib", "/var/log")
# What the kubelet wants of the kernel; these settings are the whole machine's, not a namespace's.
KERNEL_SETTINGS = {
    "kernel/keys/root_maxbytes": "25000000",
    "kernel/keys/root_maxkeys": "1000000",
    "kernel/panic": "10",
    "kernel/panic_on_oops": "1",
    "vm/overcommit_memory": "1",
    "vm/panic_on_oom": "0",
}
KUBELET_PORT = 10250
KUBELET_HEALTH_PORT = 10248
PROXY_HEALTH_PORT = 10256
PROXY_METRICS_PORT = 10249
DNS_READY_PORT = 8181


def identities(address: str) -> tuple[Identity, ...]:
    """Certificates of the node's components."""
    return (
        Identity("kubelet", f"system:node:{NODE_NAME}", "system:nodes", (NODE_NAME, address)),
        Identity("kube-proxy", "system:kube-proxy"),
        Identity("coredns", "coredns", "system:masters"),
    )


def private_mounts() -> tuple[tuple[str, ...], ...]:
    """Commands that hide what the node's programs write outside the cluster's directory.

    Mounts made by the kubelet must reach the containers, hence shared; all of them belong to
    the node's own mount namespace.
    """
    return (
        ("mount", "--make-rshared", "/"),
        *(("mount", "-t", "tmpfs", "tmpfs", directory) for directory in PRIVATE_DIRECTORIES),
    )


def kernel_setting_mounts(plane: ControlPlane) -> tuple[tuple[str, ...], ...]:
    """Commands that show the kubelet what it wants, so that it changes nothing there."""
    return tuple(
        ("mount", "--bind", plane.config(f"sys/{name}"), f"/proc/sys/{name}")
        for name in KERNEL_SETTINGS
    )


def containerd(plane: ControlPlane) -> Component:
    """The container runtime."""
    return Component(
        "containerd",
        (str(plane.binaries["containerd"]), f"--config={plane.config('containerd.toml')}"),
        Health(socket=CONTAINERD_SOCKET),
    )


def containerd_config(plane: ControlPlane) -> str:
    """Images outlive the cluster; layers are kept unpacked only, which halves the disk."""
    shim = plane.binaries["containerd-shim-runc-v2"]
    return f"""\
version = 3
root = "{plane.paths.image_store}"
state = "/run/containerd"

[grpc]
address = "{CONTAINERD_SOCKET}"

[plugins.'io.containerd.cri.v1.images']
snapshotter = "overlayfs"
discard_unpacked_layers = true

[plugins.'io.containerd.cri.v1.images'.pinned_images]
sandbox = "{PAUSE_IMAGE}"

[plugins.'io.containerd.cri.v1.runtime']
restrict_oom_score_adj = true

[plugins.'io.containerd.cri.v1.runtime'.cni]
bin_dirs = ["{CNI_PROGRAMS}"]
conf_dir = "{plane.config("cni")}"

[plugins.'io.containerd.cri.v1.runtime'.containerd.runtimes.runc]
runtime_type = "io.containerd.runc.v2"
runtime_path = "{shim}"

[plugins.'io.containerd.cri.v1.runtime'.containerd.runtimes.runc.options]
SystemdCgroup = false
"""


def cni_config(plane: ControlPlane) -> str:
    """Each pod has a routed link of its own, so that all traffic passes the Service rules."""
    return json.dumps(
        {
            "cniVersion": "1.0.0",
            "name": "pods",
            "plugins": [
                {
                    "type": "ptp",
                    "ipam": {
                        "type": "host-local",
                        "ranges": [[{"subnet": plane.pod_range}]],
                        "routes": [{"dst": "0.0.0.0/0"}],
                    },
                },
                {"type": "portmap", "capabilities": {"portMappings": True}},
            ],
        },
        indent=2,
    )


def kubelet(plane: ControlPlane) -> Component:
    """The kubelet."""
    return Component(
        "kubelet",
        (
            str(plane.binaries["kubelet"]),
            f"--config={plane.config('kubelet.yaml')}",
            f"--kubeconfig={plane.config('kubelet.kubeconfig')}",
            f"--hostname-override={NODE_NAME}",
            f"--node-ip={plane.address}",
            f"--root-dir={plane.paths.data / 'kubelet'}",
        ),
        Health(url=f"http://{LOOPBACK}:{KUBELET_HEALTH_PORT}/healthz"),
    )


def kubelet_config(plane: ControlPlane, cgroup: str) -> dict[str, Any]:
    """The kubelet's configuration: pods in an own cgroup, images never collected."""
    return {
        "apiVersion": "kubelet.config.k8s.io/v1beta1",
        "kind": "KubeletConfiguration",
        "address": plane.address,
        "port": KUBELET_PORT,
        "healthzBindAddress": LOOPBACK,
        "healthzPort": KUBELET_HEALTH_PORT,
        "authentication": {
            "anonymous": {"enabled": False},
            "webhook": {"enabled": True},
            "x509": {"clientCAFile": plane.certificate("ca")},
        },
        "authorization": {"mode": "Webhook"},
        "tlsCertFile": plane.certificate("kubelet"),
        "tlsPrivateKeyFile": plane.key("kubelet"),
        "containerRuntimeEndpoint": f"unix://{CONTAINERD_SOCKET}",
        "cgroupDriver": "cgroupfs",
        "cgroupRoot": f"/{cgroup}",
        "failCgroupV1": False,
        "failSwapOn": False,
        "oomScoreAdj": 0,
        "clusterDNS": [plane.address],
        "clusterDomain": "cluster.local",
        "resolvConf": plane.config("resolv.conf"),
        "podLogsDir": str(plane.paths.logs / "pods"),
        "volumePluginDir": str(plane.paths.data / "volume-plugins"),
        "evictionHard": {"memory.available": "100Mi", "nodefs.available": "1Gi"},
        "imageGCHighThresholdPercent": 100,
        "imageGCLowThresholdPercent": 99,
    }


def kube_proxy(plane: ControlPlane) -> Component:
    """kube-proxy."""
    return Component(
        "kube-proxy",
        (str(plane.binaries["kube-proxy"]), f"--config={plane.config('kube-proxy.yaml')}"),
        Health(url=f"http://{LOOPBACK}:{PROXY_HEALTH_PORT}/healthz"),
    )


def kube_proxy_config(plane: ControlPlane) -> dict[str, Any]:
    """Services by nftables in the node's own network namespace."""
    return {
        "apiVersion": "kubeproxy.config.k8s.io/v1alpha1",
        "kind": "KubeProxyConfiguration",
        "mode": "nftables",
        "clusterCIDR": plane.pod_range,
        "hostnameOverride": NODE_NAME,
        "bindAddress": plane.address,
        "healthzBindAddress": f"{LOOPBACK}:{PROXY_HEALTH_PORT}",
        "metricsBindAddress": f"{LOOPBACK}:{PROXY_METRICS_PORT}",
        "clientConnection": {"kubeconfig": plane.config("kube-proxy.kubeconfig")},
        "conntrack": {"maxPerCore": 0, "min": 0},
        "oomScoreAdj": 0,
    }


def coredns(plane: ControlPlane) -> Component:
    """CoreDNS on the node's address."""
    return Component(
        "coredns",
        (str(plane.binaries["coredns"]), "-conf", plane.config("Corefile")),
        Health(url=f"http://{LOOPBACK}:{DNS_READY_PORT}/ready"),
    )


def corefile(plane: ControlPlane) -> str:
    """Names of the cluster only, never cached: a headless name is there as soon as its pod is."""
    return f"""\
.:53 {{
    bind {plane.address}
    errors
    ready {LOOPBACK}:{DNS_READY_PORT}
    kubernetes cluster.local {{
        kubeconfig {plane.config("coredns.kubeconfig")}
        ttl 0
    }}
}}
"""


def files(plane: ControlPlane, cgroup: str) -> dict[str, str]:
    """All configuration files of the node by their path in the configuration directory."""
    return {
        "containerd.toml": containerd_config(plane),
        "cni/10-pods.conflist": cni_config(plane),
        "kubelet.yaml": yaml.safe_dump(kubelet_config(plane, cgroup)),
        "kube-proxy.yaml": yaml.safe_dump(kube_proxy_config(plane)),
        "Corefile": corefile(plane),
        "resolv.conf": "",
        **{f"sys/{name}": f"{value}\n" for name, value in KERNEL_SETTINGS.items()},
    }
