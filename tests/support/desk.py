"""Where a user types the commands of the pages: a directory, and a namespace with jobs."""

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from uuid import uuid4

import yaml

from tests.support.api import Cluster, manifest
from tests.support.fixtures import Kwok
from tests.support.installation import helm_program

JOBS = ("documented", "mnist-two-nodes", "my-script", "queued")
# What else the commands name, `NAME` being `documented`.
OBJECTS = """
apiVersion: v1
kind: Pod
metadata: {name: documented-pod, labels: {trainingjob.dev/name: documented}}
spec: {containers: [{name: trainer, image: a}]}
---
apiVersion: batch/v1
kind: Job
metadata: {name: documented-1}
spec:
  suspend: true
  template: {spec: {restartPolicy: Never, containers: [{name: trainer, image: a}]}}
---
{apiVersion: v1, kind: Service, metadata: {name: documented}, spec: {clusterIP: None}}
---
{apiVersion: coordination.k8s.io/v1, kind: Lease, metadata: {name: trainingjobs.trainingjob.dev}}
"""
SUCCEEDED = {
    "type": "Succeeded",
    "status": "True",
    "reason": "Succeeded",
    "message": "All pods ended with 0",
    "lastTransitionTime": "2026-11-30T12:00:00Z",
}


@dataclass(frozen=True)
class Desk:
    """The shell of a user: a directory with a script, and a namespace with jobs."""

    directory: Path
    namespace: str
    environment: dict[str, str]

    def run(self, command: str, directory: Path | None = None) -> str:
        """The output of a command line; the test fails with what it printed if it fails."""
        done = subprocess.run(
            ("bash", "-euo", "pipefail", "-c", command),
            cwd=directory or self.directory,
            env=self.environment,
            capture_output=True,
            text=True,
            timeout=180,
            check=False,
        )
        assert done.returncode == 0, f"{command}\n{done.stdout}{done.stderr}"
        return done.stdout


@contextmanager
def a_desk(kwok: Kwok, directory: Path) -> Iterator[Desk]:
    """A namespace with JOBS and OBJECTS, and a directory with train.py and job.yaml."""
    cluster = Cluster(kwok.kubeconfig, f"test-{uuid4().hex[:8]}")
    cluster.create_namespace()
    cluster.apply(*map(manifest, JOBS))
    kwok.kubectl("apply", f"--namespace={cluster.namespace}", "--filename=-", stdin=OBJECTS)
    cluster.patch_status("mnist-two-nodes", conditions=[SUCCEEDED])
    config = yaml.safe_load(kwok.kubeconfig.read_text())
    config["contexts"][0]["context"]["namespace"] = cluster.namespace
    (directory / "kubeconfig").write_text(yaml.safe_dump(config))
    paths = (
        str(Path(sys.executable).parent),
        str(Path(helm_program()).parent),
        kwok.environment["PATH"],
    )
    variables = {
        "KUBECONFIG": str(directory / "kubeconfig"),
        "PATH": os.pathsep.join(paths),
        "TRAININGJOB_IMAGE": "registry.example.com/team/torch:1",
    }
    found = Desk(directory, cluster.namespace, {**kwok.environment, **variables})
    (directory / "my-training").mkdir()
    (directory / "train.py").write_text("import sys\nprint('hello', *sys.argv[1:])\n")
    found.run("tj run --dry-run -- python train.py > job.yaml")
    yield found
    cluster.delete_all()
    cluster.core.delete_namespace(cluster.namespace)
