"""Command lines and configuration files of the control plane: pure builders.

Both profiles use them; the addresses and ports are what differs.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import yaml

from localcluster.certificates import Identity
from localcluster.plan import Component, Health

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from localcluster.paths import ClusterPaths

LOOPBACK = "127.0.0.1"
QUERIES_PER_SECOND = 500
ADMIN = "admin"


@dataclass(frozen=True)
class Ports:
    """TCP ports of the components; all but the API server listen on loopback only."""

    apiserver: int = 6443
    etcd: int = 2379
    etcd_peer: int = 2380
    controller_manager: int = 10257
    scheduler: int = 10259
    kwok: int = 10247

    @classmethod
    def starting_at(cls, base: int) -> Ports:
        """Six ports in a row."""
        return cls(*range(base, base + 6))


@dataclass(frozen=True)
class ControlPlane:
    """What the builders need to know: where things are and which addresses they use."""

    paths: ClusterPaths
    binaries: Mapping[str, Path]
    address: str
    service_range: str
    pod_range: str
    ports: Ports

    @property
    def server(self) -> str:
        """The API server's URL."""
        return f"https://{self.address}:{self.ports.apiserver}"

    def certificate(self, name: str) -> str:
        """The path of a certificate."""
        return str(self.paths.pki / f"{name}.crt")

    def key(self, name: str) -> str:
        """The path of a private key."""
        return str(self.paths.pki / f"{name}.key")

    def config(self, name: str) -> str:
        """The path of a configuration file."""
        return str(self.paths.config / name)

    def https(self, port: int, path: str, address: str = LOOPBACK) -> Health:
        """A health check by HTTPS with the administrator's certificate."""
        return Health(
            url=f"https://{address}:{port}{path}",
            authority=self.certificate("ca"),
            certificate=self.certificate(ADMIN),
            key=self.key(ADMIN),
        )


def control_plane_identities(address: str, first_service_address: str) -> tuple[Identity, ...]:
    """Certificates of the control plane and of the cluster's administrator."""
    masters = "system:masters"
    server_names = (
        "kubernetes",
        "kubernetes.default",
        "kubernetes.default.svc",
        "kubernetes.default.svc.cluster.local",
        "localhost",
        LOOPBACK,
        address,
        first_service_address,
    )
    return (
        Identity("apiserver", "kube-apiserver", hosts=server_names),
        Identity("apiserver-kubelet-client", "kube-apiserver-kubelet-client", masters),
        Identity(ADMIN, ADMIN, masters),
        Identity(
            "controller-manager", "system:kube-controller-manager", hosts=("localhost", LOOPBACK)
        ),
        Identity("scheduler", "system:kube-scheduler", hosts=("localhost", LOOPBACK)),
    )


def audit_policy() -> str:
    """Every write once, when it is answered, without bodies."""
    return yaml.safe_dump(
        {
            "apiVersion": "audit.k8s.io/v1",
            "kind": "Policy",
            "omitStages": ["RequestReceived", "ResponseStarted", "Panic"],
            "rules": [
                {"level": "None", "verbs": ["get", "list", "watch"]},
                {"level": "Metadata"},
            ],
        }
    )


def scheduler_config(kubeconfig: str) -> str:
    """The scheduler's configuration: one instance, no throttling of its own."""
    return yaml.safe_dump(
        {
            "apiVersion": "kubescheduler.config.k8s.io/v1",
            "kind": "KubeSchedulerConfiguration",
            "clientConnection": {
                "kubeconfig": kubeconfig,
                "qps": QUERIES_PER_SECOND,
                "burst": 2 * QUERIES_PER_SECOND,
            },
            "leaderElection": {"leaderElect": False},
        }
    )


def etcd(plane: ControlPlane) -> Component:
    """Etcd on loopback; it does not wait for the disk, as its data ends with the cluster."""
    client = f"http://{LOOPBACK}:{plane.ports.etcd}"
    peer = f"http://{LOOPBACK}:{plane.ports.etcd_peer}"
    return Component(
        "etcd",
        (
            str(plane.binaries["etcd"]),
            f"--data-dir={plane.paths.data / 'etcd'}",
            f"--listen-client-urls={client}",
            f"--advertise-client-urls={client}",
            f"--listen-peer-urls={peer}",
            f"--initial-advertise-peer-urls={peer}",
            f"--initial-cluster=default={peer}",
            "--unsafe-no-fsync",
            "--log-level=warn",
        ),
        Health(url=f"{client}/health"),
    )


def apiserver(plane: ControlPlane) -> Component:
    """The API server, with an audit log of all writes."""
    reconciler = "none" if plane.address == LOOPBACK else "lease"
    return Component(
        "kube-apiserver",
        (
            str(plane.binaries["kube-apiserver"]),
            f"--etcd-servers=http://{LOOPBACK}:{plane.ports.etcd}",
            f"--bind-address={plane.address}",
            f"--advertise-address={plane.address}",
            f"--secure-port={plane.ports.apiserver}",
            f"--endpoint-reconciler-type={reconciler}",
            f"--tls-cert-file={plane.certificate('apiserver')}",
            f"--tls-private-key-file={plane.key('apiserver')}",
            f"--client-ca-file={plane.certificate('ca')}",
            f"--kubelet-certificate-authority={plane.certificate('ca')}",
            f"--kubelet-client-certificate={plane.certificate('apiserver-kubelet-client')}",
            f"--kubelet-client-key={plane.key('apiserver-kubelet-client')}",
            "--kubelet-preferred-address-types=InternalIP",
            "--service-account-issuer=https://kubernetes.default.svc.cluster.local",
            f"--service-account-key-file={plane.paths.pki / 'service-accounts.pub'}",
            f"--service-account-signing-key-file={plane.key('service-accounts')}",
            f"--service-cluster-ip-range={plane.service_range}",
            "--authorization-mode=Node,RBAC",
            "--enable-admission-plugins=NodeRestriction",
            "--allow-privileged=true",
            f"--audit-policy-file={plane.config('audit-policy.yaml')}",
            f"--audit-log-path={plane.paths.audit_log}",
            "--audit-log-maxsize=500",
            "--audit-log-maxbackup=1",
        ),
        plane.https(plane.ports.apiserver, "/readyz", plane.address),
    )


def controller_manager(plane: ControlPlane) -> Component:
    """All controllers, each with its own service account."""
    kubeconfig = plane.config("controller-manager.kubeconfig")
    return Component(
        "kube-controller-manager",
        (
            str(plane.binaries["kube-controller-manager"]),
            f"--kubeconfig={kubeconfig}",
            f"--authentication-kubeconfig={kubeconfig}",
            f"--authorization-kubeconfig={kubeconfig}",
            f"--bind-address={LOOPBACK}",
            f"--secure-port={plane.ports.controller_manager}",
            f"--tls-cert-file={plane.certificate('controller-manager')}",
            f"--tls-private-key-file={plane.key('controller-manager')}",
            f"--root-ca-file={plane.certificate('ca')}",
            f"--service-account-private-key-file={plane.key('service-accounts')}",
            "--use-service-account-credentials=true",
            "--leader-elect=false",
            f"--cluster-cidr={plane.pod_range}",
            f"--kube-api-qps={QUERIES_PER_SECOND}",
            f"--kube-api-burst={2 * QUERIES_PER_SECOND}",
            "--concurrent-job-syncs=20",
        ),
        plane.https(plane.ports.controller_manager, "/healthz"),
    )


def scheduler(plane: ControlPlane) -> Component:
    """The default scheduler."""
    kubeconfig = plane.config("scheduler.kubeconfig")
    return Component(
        "kube-scheduler",
        (
            str(plane.binaries["kube-scheduler"]),
            f"--config={plane.config('scheduler.yaml')}",
            f"--authentication-kubeconfig={kubeconfig}",
            f"--authorization-kubeconfig={kubeconfig}",
            f"--bind-address={LOOPBACK}",
            f"--secure-port={plane.ports.scheduler}",
            f"--tls-cert-file={plane.certificate('scheduler')}",
            f"--tls-private-key-file={plane.key('scheduler')}",
        ),
        plane.https(plane.ports.scheduler, "/healthz"),
    )
