"""A second release of the chart on the node cluster, for one namespace and with Roles only."""

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager

from demo.cluster import ROOT, SYSTEM_NAMESPACE
from tests.support.api import Cluster
from tests.support.waiting import wait_for

RELEASE = "team"
MLFLOW = f"http://mlflow.{SYSTEM_NAMESPACE}.svc:5000"


@contextmanager
def release_for(cluster: Cluster, *values: str) -> Iterator[str]:
    """Install it with these values (`name=value`) beside the first; yields its own namespace."""
    name = f"{cluster.namespace}-system"
    labels = {"pod-security.kubernetes.io/enforce": "restricted"}
    cluster.core.create_namespace({"metadata": {"name": name, "labels": labels}})
    chart = str(ROOT / "helm" / "trainingjob-operator")
    scope = f"watchNamespaces={{{cluster.namespace}}}"
    settings = (scope, "crds.install=false", "image.tag=dev", *values)
    _helm(
        *("install", RELEASE, chart, f"--namespace={name}", "--wait", "--timeout=5m"),
        *(f"--set={setting}" for setting in settings),
    )
    yield name
    cluster.delete_all()
    wait_for("its jobs are gone", lambda: not cluster.jobs(), 120)
    _helm("uninstall", RELEASE, f"--namespace={name}", "--wait", "--timeout=5m")
    cluster.core.delete_namespace(name)


def _helm(*arguments: str) -> None:
    subprocess.run(["helm", *arguments], check=True)
