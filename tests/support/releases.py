"""Releases of the chart on the real node, each for one namespace, beside the one of all."""

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager

from demo.cluster import ROOT, SYSTEM_NAMESPACE
from tests.support.api import Cluster
from tests.support.node import pods, script_job
from tests.support.training import kubectl
from tests.support.waiting import wait_for

CHART = ROOT / "helm" / "trainingjob-operator"
MLFLOW = f"http://mlflow.{SYSTEM_NAMESPACE}.svc:5000"
RESTRICTED = {"pod-security.kubernetes.io/enforce": "restricted"}
NAME = "team-trainingjob-operator"


def helm(namespace: str, *arguments: str) -> None:
    """Run a command of helm that waits for what it changes."""
    command = ("helm", *arguments, f"--namespace={namespace}", "--wait", "--timeout=5m")
    subprocess.run(command, check=True)


class Release:
    """The release `team` in a namespace of its own, which serves the test's namespace."""

    def __init__(self, cluster: Cluster) -> None:
        self.namespace = f"{cluster.namespace}-system"
        self._served = cluster.namespace

    def upgrade(self, **values: str) -> None:
        """Install or upgrade it with these values (`__` is a dot) and wait until it is ready."""
        settings = {
            "watchNamespaces": f"{{{self._served}}}",
            "crds.install": "false",
            "image.tag": "dev",
            "mlflow.trackingUri": MLFLOW,
            **{name.replace("__", "."): value for name, value in values.items()},
        }
        given = ",".join(f"{name}={value}" for name, value in settings.items())
        helm(self.namespace, "upgrade", "--install", "team", str(CHART), f"--set={given}")

    def uninstall(self) -> None:
        """Uninstall it as a user does, and wait until its objects are gone."""
        helm(self.namespace, "uninstall", "team")

    @property
    def leader(self) -> str:
        """The pod that holds the Lease."""
        jsonpath = "--output=jsonpath={.spec.holderIdentity}"
        return kubectl("get", "lease", NAME, f"--namespace={self.namespace}", jsonpath)


@contextmanager
def a_release(cluster: Cluster, **values: str) -> Iterator[Release]:
    """A release for the namespace of the test; its jobs are gone before it goes.

    `values` are those of Release.upgrade.
    """
    made = Release(cluster)
    cluster.core.create_namespace({"metadata": {"name": made.namespace, "labels": RESTRICTED}})
    made.upgrade(**values)
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
