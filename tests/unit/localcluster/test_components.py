from pathlib import Path

import yaml
from localcluster.components import (
    ControlPlane,
    Ports,
    apiserver,
    audit_policy,
    controller_manager,
    etcd,
    scheduler,
    scheduler_config,
)
from localcluster.paths import ClusterPaths
from localcluster.plan import Component, Health

BINARIES = {
    name: Path("/bin") / name
    for name in ("etcd", "kube-apiserver", "kube-controller-manager", "kube-scheduler")
}
PLANE = ControlPlane(
    paths=ClusterPaths("kwok", Path("/c")),
    binaries=BINARIES,
    address="127.0.0.1",
    service_range="10.128.0.0/16",
    pod_range="10.64.0.0/10",
    ports=Ports.starting_at(1000),
)


def https(url: str) -> Health:
    return Health(
        url=url, authority="/c/pki/ca.crt", certificate="/c/pki/admin.crt", key="/c/pki/admin.key"
    )


def test_etcd_listens_on_loopback_and_does_not_wait_for_the_disk() -> None:
    assert etcd(PLANE) == Component(
        "etcd",
        (
            "/bin/etcd",
            "--data-dir=/c/data/etcd",
            "--listen-client-urls=http://127.0.0.1:1001",
            "--advertise-client-urls=http://127.0.0.1:1001",
            "--listen-peer-urls=http://127.0.0.1:1002",
            "--initial-advertise-peer-urls=http://127.0.0.1:1002",
            "--initial-cluster=default=http://127.0.0.1:1002",
            "--unsafe-no-fsync",
            "--log-level=warn",
        ),
        Health(url="http://127.0.0.1:1001/health"),
    )


def test_apiserver_authorizes_by_rbac_and_logs_all_writes() -> None:
    assert apiserver(PLANE) == Component(
        "kube-apiserver",
        (
            "/bin/kube-apiserver",
            "--etcd-servers=http://127.0.0.1:1001",
            "--bind-address=127.0.0.1",
            "--advertise-address=127.0.0.1",
            "--secure-port=1000",
            "--endpoint-reconciler-type=none",
            "--tls-cert-file=/c/pki/apiserver.crt",
            "--tls-private-key-file=/c/pki/apiserver.key",
            "--client-ca-file=/c/pki/ca.crt",
            "--kubelet-certificate-authority=/c/pki/ca.crt",
            "--kubelet-client-certificate=/c/pki/apiserver-kubelet-client.crt",
            "--kubelet-client-key=/c/pki/apiserver-kubelet-client.key",
            "--kubelet-preferred-address-types=InternalIP",
            "--service-account-issuer=https://kubernetes.default.svc.cluster.local",
            "--service-account-key-file=/c/pki/service-accounts.pub",
            "--service-account-signing-key-file=/c/pki/service-accounts.key",
            "--service-cluster-ip-range=10.128.0.0/16",
            "--authorization-mode=Node,RBAC",
            "--enable-admission-plugins=NodeRestriction",
            "--allow-privileged=true",
            "--audit-policy-file=/c/config/audit-policy.yaml",
            "--audit-log-path=/c/logs/audit.log",
            "--audit-log-maxsize=500",
            "--audit-log-maxbackup=1",
        ),
        https("https://127.0.0.1:1000/readyz"),
    )


def test_controller_manager_runs_all_controllers_without_throttling() -> None:
    assert controller_manager(PLANE) == Component(
        "kube-controller-manager",
        (
            "/bin/kube-controller-manager",
            "--kubeconfig=/c/config/controller-manager.kubeconfig",
            "--authentication-kubeconfig=/c/config/controller-manager.kubeconfig",
            "--authorization-kubeconfig=/c/config/controller-manager.kubeconfig",
            "--bind-address=127.0.0.1",
            "--secure-port=1003",
            "--tls-cert-file=/c/pki/controller-manager.crt",
            "--tls-private-key-file=/c/pki/controller-manager.key",
            "--root-ca-file=/c/pki/ca.crt",
            "--service-account-private-key-file=/c/pki/service-accounts.key",
            "--use-service-account-credentials=true",
            "--leader-elect=false",
            "--cluster-cidr=10.64.0.0/10",
            "--kube-api-qps=500",
            "--kube-api-burst=1000",
            "--concurrent-job-syncs=20",
        ),
        https("https://127.0.0.1:1003/healthz"),
    )


def test_scheduler_runs_alone() -> None:
    assert scheduler(PLANE) == Component(
        "kube-scheduler",
        (
            "/bin/kube-scheduler",
            "--config=/c/config/scheduler.yaml",
            "--authentication-kubeconfig=/c/config/scheduler.kubeconfig",
            "--authorization-kubeconfig=/c/config/scheduler.kubeconfig",
            "--bind-address=127.0.0.1",
            "--secure-port=1004",
            "--tls-cert-file=/c/pki/scheduler.crt",
            "--tls-private-key-file=/c/pki/scheduler.key",
        ),
        https("https://127.0.0.1:1004/healthz"),
    )
    assert yaml.safe_load(scheduler_config("/k")) == {
        "apiVersion": "kubescheduler.config.k8s.io/v1",
        "kind": "KubeSchedulerConfiguration",
        "clientConnection": {"kubeconfig": "/k", "qps": 500, "burst": 1000},
        "leaderElection": {"leaderElect": False},
    }


def test_audit_policy_keeps_one_line_a_write() -> None:
    assert yaml.safe_load(audit_policy()) == {
        "apiVersion": "audit.k8s.io/v1",
        "kind": "Policy",
        "omitStages": ["RequestReceived", "ResponseStarted", "Panic"],
        "rules": [{"level": "None", "verbs": ["get", "list", "watch"]}, {"level": "Metadata"}],
    }
