"""The processor time of each component of the local cluster, from /proc."""

from dataclasses import dataclass
from pathlib import Path

import psutil

from tests.support.fixtures import Kwok
from tests.support.processes import MlflowServer, OperatorProcess

CONTROL_PLANE = {
    "kube-apiserver": "API server",
    "etcd": "etcd",
    "kube-controller-manager": "controller manager",
    "kube-scheduler": "scheduler",
}


@dataclass(frozen=True)
class Components:
    """The processes of each component, by its name for people."""

    processes: dict[str, list[psutil.Process]]

    @classmethod
    def of(cls, kwok: Kwok, mlflow: MlflowServer, operator: OperatorProcess) -> "Components":
        """Those of this cluster: others may run on the same machine."""
        server = psutil.Process(mlflow.pid)
        found = cls(
            {
                **_control_plane(f"{kwok.kubeconfig.parent}/"),
                "MLflow": [server, *server.children(recursive=True)],
                "operator": [psutil.Process(operator.pid)],
            }
        )
        assert found.processes.keys() >= set(CONTROL_PLANE.values())
        return found

    def seconds(self) -> dict[str, float]:
        """User and system time of each component since its start."""
        return {
            name: sum(sum(process.cpu_times()[:2]) for process in processes)
            for name, processes in self.processes.items()
        }


def _control_plane(directory: str) -> dict[str, list[psutil.Process]]:
    """The programs that have a file of the cluster's own directory on their command line."""
    found: dict[str, list[psutil.Process]] = {}
    for process in psutil.process_iter(["cmdline"]):
        command = process.info["cmdline"] or [""]
        reported = CONTROL_PLANE.get(Path(command[0]).name)
        if reported is not None and any(directory in argument for argument in command):
            found.setdefault(reported, []).append(process)
    return found
