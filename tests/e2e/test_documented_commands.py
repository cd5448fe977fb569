"""The commands of the pages that need a kubelet, as they stand there."""

import os
import subprocess
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.support.api import Cluster
from tests.support.documented import ON_A_NODE, commands
from tests.support.node import IMAGE, SCRIPTS, Installed, pods
from tests.support.processes import free_port
from tests.support.releases import MLFLOW
from tests.support.waiting import wait_for

STACKS = "kubectl exec POD -- sh -c 'kill -QUIT 1'"
FORWARD = "kubectl --namespace trainingjob-system port-forward service/mlflow 5000"
# A part of what each prints; those with stacks and with the port show it elsewhere.
SHOWN = {
    STACKS: "",
    FORWARD: "",
    "helm test trainingjob-operator --namespace trainingjob-system --logs": "operator ready",
    "kubectl --namespace trainingjob-system logs deployment/trainingjob-operator": "my-script",
    "kubectl logs job/my-script-1": "hello",
    "kubectl logs POD": "hello",
    "kubectl logs POD -c NAME": "hello",
    "kubectl logs POD -c trainingjob-initializer-NAME": "fetching",
    "kubectl logs POD -c trainingjob-initializer-data": "fetching",
}


def my_script() -> dict[str, Any]:
    """A job as in docs/trainer/your-own-script.md, with an initializer; it runs for ever."""
    code = "print('hello', flush=True)\n" + (SCRIPTS / "wait_for_ever.py").read_text()
    return {
        "apiVersion": "trainingjob.dev/v1alpha1",
        "kind": "TrainingJob",
        "metadata": {"name": "my-script"},
        "spec": {
            "image": IMAGE,
            "command": ["tini", "--", "trainingjob-exec", "--", "python", "-c", code],
            "initializers": [{"name": "data", "source": f"{MLFLOW}/version", "path": "/data"}],
            "volumes": [{"name": "data", "emptyDir": {}}],
            "volumeMounts": [{"name": "data", "mountPath": "/data"}],
            "terminationGracePeriodSeconds": 5,
            "resourcesPerNode": {"limits": {"memory": "1Gi"}},
        },
    }


@pytest.fixture
def shell(installed: Installed, cluster: Cluster, tmp_path: Path) -> dict[str, str]:
    """The environment of a shell whose current namespace is that of the test."""
    config = yaml.safe_load(installed.kubeconfig.read_text())
    config["contexts"][0]["context"]["namespace"] = cluster.namespace
    (tmp_path / "kubeconfig").write_text(yaml.safe_dump(config))
    return {**os.environ, "KUBECONFIG": str(tmp_path / "kubeconfig")}


def test_each_works_as_it_stands_on_a_page(cluster: Cluster, shell: dict[str, str]) -> None:
    assert SHOWN.keys() == {one.text for one in commands() if ON_A_NODE.fullmatch(one.text)}
    cluster.apply(my_script())
    wait_for("the job runs", lambda: cluster.state("my-script") == "Running", 120)
    [pod] = [one.metadata.name for one in pods(cluster, "my-script")]

    def printed(command: str) -> str:
        whole = command.replace("POD", pod).replace("initializer-NAME", "initializer-data")
        line = ("bash", "-c", whole.replace("NAME", "trainer"))
        done = subprocess.run(line, env=shell, capture_output=True, text=True, check=False)
        assert done.returncode == 0, f"{whole}\n{done.stdout}{done.stderr}"
        return done.stdout

    wait_for("the script has begun", lambda: "hello" in printed("kubectl logs POD"), 60)
    for command, part in SHOWN.items():
        if command != FORWARD:
            assert part in printed(command), command

    def stacks() -> bool:
        text = printed("kubectl logs POD")
        print(text)
        return "most recent call first" in text

    wait_for("its stacks are written", stacks, 60)


def test_the_demo_mlflow_is_at_the_forwarded_port(shell: dict[str, str]) -> None:
    port = free_port()
    command = FORWARD.replace("5000", f"{port}:5000").split()

    def answer() -> bytes | None:
        try:
            with urllib.request.urlopen(f"http://localhost:{port}/health", timeout=5) as found:
                body: bytes = found.read()
        except urllib.error.URLError as error:
            print(error)
            return None
        return body

    with subprocess.Popen(command, env=shell, stdout=subprocess.DEVNULL) as forwarding:
        try:
            assert wait_for("MLflow answers there", answer, 60) == b"OK"
        finally:
            forwarding.terminate()
