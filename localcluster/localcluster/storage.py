"""The default storage class of the real node: directories of the node, as kind has them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import yaml

from localcluster.certificates import Identity
from localcluster.components import LOOPBACK
from localcluster.plan import Component, Health

if TYPE_CHECKING:
    from localcluster.components import ControlPlane

CLASS = "standard"
PROVISIONER = "trainingjob.dev/node-directory"
METRICS_PORT = 8182
IDENTITY = Identity("provisioner", "provisioner", "system:masters")


def component(plane: ControlPlane) -> Component:
    """The provisioner, in the node's own mount namespace; the volumes go with the cluster."""
    return Component(
        "provisioner",
        (
            str(plane.binaries["provisioner"]),
            f"--name={PROVISIONER}",
            f"--directory={plane.paths.data / 'volumes'}",
            f"--kubeconfig={plane.config('provisioner.kubeconfig')}",
            f"--metrics-address={LOOPBACK}",
            f"--metrics-port={METRICS_PORT}",
        ),
        Health(url=f"http://{LOOPBACK}:{METRICS_PORT}/metrics"),
    )


def storage_class() -> str:
    """The class, named as that of kind: a volume is made where the pod will run."""
    return yaml.safe_dump(
        {
            "apiVersion": "storage.k8s.io/v1",
            "kind": "StorageClass",
            "metadata": {
                "name": CLASS,
                "annotations": {"storageclass.kubernetes.io/is-default-class": "true"},
            },
            "provisioner": PROVISIONER,
            "reclaimPolicy": "Delete",
            "volumeBindingMode": "WaitForFirstConsumer",
        }
    )
