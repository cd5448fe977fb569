from pathlib import Path

import yaml
from localcluster.components import ControlPlane, Ports
from localcluster.paths import ClusterPaths
from localcluster.plan import Component, Health

from localcluster import storage

PLANE = ControlPlane(
    paths=ClusterPaths("node", Path("/cache/clusters/node")),
    binaries={"provisioner": Path("/bin/provisioner")},
    address="10.231.255.2",
    service_range="10.231.64.0/20",
    pod_range="10.231.0.0/20",
    ports=Ports(),
)


def test_volumes_are_in_the_directory_of_the_cluster() -> None:
    assert storage.component(PLANE) == Component(
        "provisioner",
        (
            "/bin/provisioner",
            "--name=trainingjob.dev/node-directory",
            "--directory=/cache/clusters/node/data/volumes",
            "--kubeconfig=/cache/clusters/node/config/provisioner.kubeconfig",
            "--metrics-address=127.0.0.1",
            "--metrics-port=8182",
        ),
        Health(url="http://127.0.0.1:8182/metrics"),
    )


def test_claims_without_a_class_get_it_and_wait_for_their_pod_as_on_kind() -> None:
    assert yaml.safe_load(storage.storage_class()) == {
        "apiVersion": "storage.k8s.io/v1",
        "kind": "StorageClass",
        "metadata": {
            "name": "standard",
            "annotations": {"storageclass.kubernetes.io/is-default-class": "true"},
        },
        "provisioner": "trainingjob.dev/node-directory",
        "reclaimPolicy": "Delete",
        "volumeBindingMode": "WaitForFirstConsumer",
    }
