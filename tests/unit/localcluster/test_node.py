import json
from pathlib import Path

from localcluster.components import ControlPlane, Ports
from localcluster.paths import ClusterPaths
from localcluster.plan import Component, Health

from localcluster import node

BINARIES = {
    name: Path("/bin") / name
    for name in ("containerd", "containerd-shim-runc-v2", "kubelet", "kube-proxy", "coredns")
}
PLANE = ControlPlane(
    paths=ClusterPaths("node", Path("/cache/clusters/node")),
    binaries=BINARIES,
    address="10.231.255.2",
    service_range="10.231.64.0/20",
    pod_range="10.231.0.0/20",
    ports=Ports(),
)
ROOT = "/cache/clusters/node"


def test_kubelet() -> None:
    assert node.kubelet(PLANE) == Component(
        "kubelet",
        (
            "/bin/kubelet",
            f"--config={ROOT}/config/kubelet.yaml",
            f"--kubeconfig={ROOT}/config/kubelet.kubeconfig",
            "--hostname-override=trainingjob-node",
            "--node-ip=10.231.255.2",
            f"--root-dir={ROOT}/data/kubelet",
        ),
        Health(url="http://127.0.0.1:10248/healthz"),
    )
    assert node.kubelet_config(PLANE, "pods-here") == {
        "apiVersion": "kubelet.config.k8s.io/v1beta1",
        "kind": "KubeletConfiguration",
        "address": "10.231.255.2",
        "port": 10250,
        "healthzBindAddress": "127.0.0.1",
        "healthzPort": 10248,
        "authentication": {
            "anonymous": {"enabled": False},
            "webhook": {"enabled": True},
            "x509": {"clientCAFile": f"{ROOT}/pki/ca.crt"},
        },
        "authorization": {"mode": "Webhook"},
        "tlsCertFile": f"{ROOT}/pki/kubelet.crt",
        "tlsPrivateKeyFile": f"{ROOT}/pki/kubelet.key",
        "containerRuntimeEndpoint": "unix:///run/containerd/containerd.sock",
        "cgroupDriver": "cgroupfs",
        "cgroupRoot": "/pods-here",
        "failCgroupV1": False,
        "failSwapOn": False,
        "oomScoreAdj": 0,
        "clusterDNS": ["10.231.255.2"],
        "clusterDomain": "cluster.local",
        "resolvConf": f"{ROOT}/config/resolv.conf",
        "podLogsDir": f"{ROOT}/logs/pods",
        "volumePluginDir": f"{ROOT}/data/volume-plugins",
        "evictionHard": {"memory.available": "100Mi", "nodefs.available": "1Gi"},
        "imageGCHighThresholdPercent": 100,
        "imageGCLowThresholdPercent": 99,
    }


def test_containerd_keeps_images_outside_the_cluster() -> None:
    assert (
        node.containerd_config(PLANE)
        == f"""\
version = 3
root = "/cache/containerd"
state = "/run/containerd"

[grpc]
address = "/run/containerd/containerd.sock"

[plugins.'io.containerd.cri.v1.images']
snapshotter = "overlayfs"
discard_unpacked_layers = true

[plugins.'io.containerd.cri.v1.images'.pinned_images]
sandbox = "docker.io/trainingjob/pause:dev"

[plugins.'io.containerd.cri.v1.runtime']
restrict_oom_score_adj = true

[plugins.'io.containerd.cri.v1.runtime'.cni]
bin_dirs = ["/usr/lib/cni"]
conf_dir = "{ROOT}/config/cni"

[plugins.'io.containerd.cri.v1.runtime'.containerd.runtimes.runc]
runtime_type = "io.containerd.runc.v2"
runtime_path = "/bin/containerd-shim-runc-v2"

[plugins.'io.containerd.cri.v1.runtime'.containerd.runtimes.runc.options]
SystemdCgroup = false
"""
    )


def test_each_pod_has_a_routed_link() -> None:
    assert json.loads(node.cni_config(PLANE)) == {
        "cniVersion": "1.0.0",
        "name": "pods",
        "plugins": [
            {
                "type": "ptp",
                "ipam": {
                    "type": "host-local",
                    "ranges": [[{"subnet": "10.231.0.0/20"}]],
                    "routes": [{"dst": "0.0.0.0/0"}],
                },
            },
            {"type": "portmap", "capabilities": {"portMappings": True}},
        ],
    }


def test_kube_proxy() -> None:
    assert node.kube_proxy(PLANE) == Component(
        "kube-proxy",
        ("/bin/kube-proxy", f"--config={ROOT}/config/kube-proxy.yaml"),
        Health(url="http://127.0.0.1:10256/healthz"),
    )
    assert node.kube_proxy_config(PLANE) == {
        "apiVersion": "kubeproxy.config.k8s.io/v1alpha1",
        "kind": "KubeProxyConfiguration",
        "mode": "nftables",
        "clusterCIDR": "10.231.0.0/20",
        "hostnameOverride": "trainingjob-node",
        "bindAddress": "10.231.255.2",
        "healthzBindAddress": "127.0.0.1:10256",
        "metricsBindAddress": "127.0.0.1:10249",
        "clientConnection": {"kubeconfig": f"{ROOT}/config/kube-proxy.kubeconfig"},
        "conntrack": {"maxPerCore": 0, "min": 0},
        "oomScoreAdj": 0,
    }


def test_dns_serves_the_cluster_from_the_nodes_address() -> None:
    assert (
        node.corefile(PLANE)
        == f"""\
.:53 {{
    bind 10.231.255.2
    errors
    ready 127.0.0.1:8181
    kubernetes cluster.local {{
        kubeconfig {ROOT}/config/coredns.kubeconfig
        ttl 0
    }}
}}
"""
    )


def test_what_the_node_writes_outside_its_directory_is_hidden() -> None:
    assert node.private_mounts() == (
        ("mount", "--make-rshared", "/"),
        ("mount", "-t", "tmpfs", "tmpfs", "/run"),
        ("mount", "-t", "tmpfs", "tmpfs", "/var/lib"),
        ("mount", "-t", "tmpfs", "tmpfs", "/var/log"),
    )


def test_the_kubelet_finds_the_kernel_settings_that_it_wants() -> None:
    mounts = node.kernel_setting_mounts(PLANE)
    assert mounts[2] == (
        ("mount", "--bind", f"{ROOT}/config/sys/kernel/panic", "/proc/sys/kernel/panic")
    )
    written = node.files(PLANE, "pods-here")
    for *_, source, target in mounts:
        name = target.removeprefix("/proc/sys/")
        assert source == f"{ROOT}/config/sys/{name}"
        assert written[f"sys/{name}"] == f"{node.KERNEL_SETTINGS[name]}\n"
