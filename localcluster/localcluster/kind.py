"""The node profile where a Docker engine runs: kind."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

import yaml

from localcluster import gobuild
from localcluster.commands import output, succeeds
from localcluster.links import kubectl, link_programs
from localcluster.progress import say, step
from localcluster.state import State
from localcluster.status import Row

if TYPE_CHECKING:
    from localcluster.paths import ClusterPaths

ENGINE = "kind"
CLUSTER = "trainingjob"
NODE_PORTS = (30500,)
HOST = "127.0.0.1"


def engine_answers() -> bool:
    """Whether a Docker engine runs that this user may use."""
    return succeeds(["docker", "info"])


def config() -> str:
    """One node whose NodePorts are on the machine's loopback address."""
    mappings = [
        {"containerPort": port, "hostPort": port, "listenAddress": HOST} for port in NODE_PORTS
    ]
    return yaml.safe_dump(
        {
            "kind": "Cluster",
            "apiVersion": "kind.x-k8s.io/v1alpha4",
            "nodes": [{"role": "control-plane", "extraPortMappings": mappings}],
        }
    )


def up(paths: ClusterPaths) -> None:
    """Create the kind cluster unless it is there; its kubeconfig is a file of its own."""
    link_programs()
    paths.create()
    if CLUSTER in output([_program(), "get", "clusters"]).split():
        say("the kind cluster is up already")
    else:
        with step("creating the kind cluster"):
            output(
                [
                    *(_program(), "create", "cluster", f"--name={CLUSTER}", "--config=-"),
                    *("--wait=180s", f"--kubeconfig={paths.kubeconfig}"),
                ],
                stdin=config().encode(),
            )
    paths.kubeconfig.write_text(output([_program(), "get", "kubeconfig", f"--name={CLUSTER}"]))
    State(ENGINE, HOST).write(paths.state)


def down(paths: ClusterPaths) -> None:
    """Delete the kind cluster."""
    with step("deleting the kind cluster"):
        output([_program(), "delete", "cluster", f"--name={CLUSTER}"])
    if paths.root.exists():
        shutil.rmtree(paths.root)


def rows(paths: ClusterPaths) -> list[Row]:
    """Whether the API server answers that it is ready."""
    if not paths.kubeconfig.exists():
        return []
    answer = kubectl(paths.kubeconfig, "get", "--raw", "/readyz")
    return [Row("kind", "healthy" if answer == "ok" else "failing", 0, answer)]


def systemctl(verb: str, component: str) -> None:
    """Start or stop a service of the node: kubelet or containerd."""
    output(["docker", "exec", f"{CLUSTER}-control-plane", "systemctl", verb, component])


def load(image: str) -> None:
    """Bring an image of the Docker engine into the cluster."""
    output([_program(), "load", "docker-image", image, f"--name={CLUSTER}"])


def _program() -> str:
    found = shutil.which("kind")
    if found:
        return found
    gobuild.ensure("kind")
    return str(gobuild.binary_path("kind"))
