"""Take the pictures of docs/client: `tj` on a terminal, and a run of this machine in MLflow's UI.

They are of the real thing: the demo has installed the operator on the local cluster.
"""

import asyncio
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import yaml
from mlflow import MlflowClient
from trainingjob.adapters import mlflow_server
from trainingjob.local import STORE

from demo import cluster
from demo.screenshot import IMAGES, photograph
from demo.terminal import Terminal

NAMESPACE = "pictures"
SCRIPTS = cluster.ROOT / "demo" / "scripts"
IMAGE = "docker.io/trainingjob/trainer:dev"
COLUMNS, ROWS = 124, 40
TJ = str(Path(sys.executable).with_name("tj"))
# MLflow opens its assistant at the first visit of a server on the same machine.
WITHOUT_ASSISTANT = """(() => {
    const close = document.querySelector("[data-component-id='mlflow.assistant.chat_panel.close']");
    if (close) close.click();
    return !close;
})()"""
FINISHED = f"document.body.innerText.includes('Finished') && {WITHOUT_ASSISTANT}"


class Desk:
    """A working directory with the script, and the environment of whoever sits there."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory / "line"
        shutil.copytree(SCRIPTS, self.directory)
        config = yaml.safe_load(Path(os.environ["KUBECONFIG"]).read_text())
        for context in config["contexts"]:
            context["context"]["namespace"] = NAMESPACE
        kubeconfig = directory / "kubeconfig"
        kubeconfig.write_text(yaml.safe_dump(config))
        programs = os.pathsep.join([str(Path(TJ).parent), os.environ["PATH"]])
        self.here = {
            **{key: value for key, value in os.environ.items() if key != "MLFLOW_TRACKING_URI"},
            "PATH": programs,
            "KUBECONFIG": str(kubeconfig),
            "TRAININGJOB_IMAGE": IMAGE,
        }
        self.on_the_cluster = {
            **self.here, "MLFLOW_TRACKING_URI": os.environ["MLFLOW_TRACKING_URI"]
        }  # fmt: skip

    def tj(self, *arguments: str, here: bool = False) -> None:
        """Call `tj` without a picture; what it ends with is a part of the picture to come."""
        environment = self.here if here else self.on_the_cluster
        subprocess.run([TJ, *arguments], cwd=self.directory, env=environment, check=False)

    def show(self, terminal: Terminal, *arguments: str, until: str | None = None) -> None:
        """Show what `tj` prints until a pattern is there, or to its end."""
        with terminal.running(
            "tj", *arguments, directory=self.directory, environment=self.on_the_cluster
        ):
            terminal.show_until(until)


def main() -> int:
    """Take them all."""
    cluster.adopt_environment()
    with tempfile.TemporaryDirectory() as directory, _namespace():
        desk = Desk(Path(directory))
        desk.tj("run", "--name", "baseline", "--", "torchrun", "fit.py", "--steps", "10")
        missing = ("python", "fit.py", "--data", "/data/points.pt")
        desk.tj("run", "--name", "from-file", "--", *missing)
        desk.tj("run", "--name", "large", "--gpus", "8", "--detach", "--", "torchrun", "fit.py")
        _take_terminals(desk)
        run = _newest_run(MlflowClient(os.environ["MLFLOW_TRACKING_URI"]), "fit")
        _photograph(os.environ["MLFLOW_TRACKING_URI"], run, "client-run-of-the-cluster.png")
        desk.tj("run", "--local", "--name", "fit", "--", "torchrun", "fit.py", here=True)
        with mlflow_server.serving(desk.directory / STORE) as uri:
            run = _newest_run(MlflowClient(uri), "fit")
            _photograph(uri, run, "client-run-of-this-machine.png")
    return 0


def _take_terminals(desk: Desk) -> None:
    """While one job runs, its own picture, and that of the list with it."""
    running, listing, why = (Terminal(COLUMNS, ROWS) for _ in range(3))
    start = ("run", "--name", "fit", "--nodes", "2", "--", "torchrun", "fit.py")
    with running.running(
        "tj", *start, directory=desk.directory, environment=desk.on_the_cluster
    ) as process:
        running.show_until(r"[4-9]\d%")
        _write("client-run.svg", running)
        desk.show(listing, "ls", "--watch", until=r"fit +Running +\d+%")
        _write("client-ls.svg", listing)
        running.show_until(None)
        if process.wait() != 0:
            raise RuntimeError(f"the training failed:\n{running.text}")
    desk.show(why, "why", "from-file")
    _write("client-why.svg", why)


@contextmanager
def _namespace() -> Iterator[None]:
    """A namespace for the jobs, under the restricted Pod Security Standard as the demo's."""
    labels = {"pod-security.kubernetes.io/enforce": "restricted"}
    body = {"apiVersion": "v1", "kind": "Namespace"}
    body |= {"metadata": {"name": NAMESPACE, "labels": labels}}  # type: ignore[dict-item]  # YAML
    gone = ("kubectl", "delete", "namespace", NAMESPACE)
    # An earlier time that was interrupted has left its jobs.
    subprocess.run([*gone, "--ignore-not-found"], check=True)
    subprocess.run(
        ["kubectl", "apply", "--filename", "-"], input=yaml.safe_dump(body), text=True, check=True
    )
    try:
        yield
    finally:
        subprocess.run(gone, check=True)


def _newest_run(client: MlflowClient, name: str) -> str:
    """The page of the newest run of a job."""
    experiments = [experiment.experiment_id for experiment in client.search_experiments()]
    [run] = client.search_runs(
        experiments,
        f"tags.`trainingjob.name` = '{name}' and status = 'FINISHED'",
        max_results=1,
        order_by=["start_time DESC"],
    )
    return f"experiments/{run.info.experiment_id}/runs/{run.info.run_id}"


def _photograph(uri: str, page: str, file: str) -> None:
    url = f"{uri}/#/{page}?workflowType=machine_learning"
    (IMAGES / file).write_bytes(asyncio.run(photograph(url, FINISHED)))
    print(f"wrote {file}", flush=True)


def _write(file: str, terminal: Terminal) -> None:
    (IMAGES / file).write_text(terminal.picture(file.removesuffix(".svg")))
    print(f"wrote {file}", flush=True)


if __name__ == "__main__":
    sys.exit(main())
