"""A second release of the chart on the node cluster, for one namespace and with Roles only."""

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager

from demo.cluster import ROOT, SYSTEM_NAMESPACE
from tests.support.api import Cluster
from tests.support.node import pods, script_job
from tests.support.training import kubectl
from tests.support.waiting import wait_for

RELEASE = "team"
MLFLOW = f"http://mlflow.{SYSTEM_NAMESPACE}.svc:5000"
CHART = ROOT / "helm" / "trainingjob-operator"


class Release:
    """The release in a namespace of its own, which serves the test's namespace."""

    def __init__(self, cluster: Cluster) -> None:
        self.namespace = f"{cluster.namespace}-system"
        self._scope = f"watchNamespaces={{{cluster.namespace}}}"

    def upgrade(self, *values: str) -> None:
        """Install or upgrade it with these values (`name=value`), and wait until it is ready."""
        settings = (self._scope, "crds.install=false", "image.tag=dev", *values)
        given = (f"--set={setting}" for setting in settings)
        self._helm("upgrade", "--install", RELEASE, str(CHART), *given)

    def uninstall(self) -> None:
        """Uninstall it, and wait until its objects are gone."""
        self._helm("uninstall", RELEASE)

    def _helm(self, *arguments: str) -> None:
        place = (f"--namespace={self.namespace}", "--wait", "--timeout=5m")
        subprocess.run(("helm", *arguments, *place), check=True)

    @property
    def leader(self) -> str:
        """The pod that holds the Lease, "" for none."""
        lease = f"{RELEASE}-trainingjob-operator"
        jsonpath = "--output=jsonpath={.spec.holderIdentity}"
        return kubectl("get", "lease", lease, f"--namespace={self.namespace}", jsonpath)


@contextmanager
def release_for(cluster: Cluster, *values: str) -> Iterator[Release]:
    """Install it with these values beside the first; its jobs are gone before it goes."""
    made = Release(cluster)
    labels = {"pod-security.kubernetes.io/enforce": "restricted"}
    cluster.core.create_namespace({"metadata": {"name": made.namespace, "labels": labels}})
    made.upgrade(*values)
    yield made
    cluster.delete_all()
    wait_for("its jobs are gone", lambda: not cluster.jobs(), 120)
    made.uninstall()
    cluster.core.delete_namespace(made.namespace)


def start(cluster: Cluster, name: str) -> str:
    """Start a job that runs until `end`, and wait until it runs; the uid of its pod."""
    cluster.apply(script_job(name, "until_ended.py"))
    wait_for(f"{name} runs", lambda: cluster.state(name) == "Running", 120)
    [pod] = pods(cluster, name)
    return str(pod.metadata.uid)


def end(cluster: Cluster, name: str) -> None:
    """Let the script of a job that runs end with 0, and wait until its pod has ended."""
    [pod] = pods(cluster, name)
    place = ("--namespace", cluster.namespace, pod.metadata.name, "--container", "trainer")
    kubectl("exec", *place, "--", "touch", "/tmp/end")  # noqa: S108 - in the pod

    def ended() -> bool:
        return [one.status.phase for one in pods(cluster, name)] == ["Succeeded"]

    wait_for(f"the pod of {name} has ended", ended, 60)
