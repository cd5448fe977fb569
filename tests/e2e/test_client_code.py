"""What goes along with `tj` to real pods: much code, packages, a notebook's function."""

import hashlib
import json
import os
import subprocess
import time
from pathlib import Path
from typing import Any

import pytest

from tests.support.api import Cluster
from tests.support.client import IMAGE, Tj, install
from tests.support.node import Installed
from tests.support.waiting import wait_for
from tests.unit.client.test_packages import wheel

TRAINING = """
import mlflow, torch

torch.manual_seed(7)
model = torch.nn.Linear(64, 1)
optimizer = torch.optim.SGD(model.parameters(), lr=0.001)
with mlflow.start_run():
    for step in range(20):
        batch = torch.randn(32, 64)
        loss = (model(batch) - batch.sum(1, keepdim=True)).pow(2).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        mlflow.log_metric("train/loss", loss.item(), step=step)
"""
CHECKING = """
import hashlib, pathlib

print("read", hashlib.sha256(pathlib.Path("weights.bin").read_bytes()).hexdigest())
"""
CELLS = (
    "%load_ext autoreload\nfrom trainingjob import job",
    "SCALE = 2\ndef scaled(value):\n    return value * SCALE",
    (
        "@job(image=%(image)r, namespace=%(namespace)r, env={'PIP_NO_INDEX': '1'},\n"
        "     packages=['./greeting-1.0-py3-none-any.whl'])\n"
        "def train(steps, *, lr):\n"
        "    import greeting\n"
        "    return {'loss': scaled(lr) / steps, 'text': greeting.TEXT}"
    ),
    "run = train.submit(4, lr=0.5)",
    "print(run.result())",
    "@job(image='i')\ndef late(): return missing\nlate.submit()",
)
NOTEBOOKS = ("nbclient==0.10.2", "ipykernel==6.30.1")
EXECUTING = """
import nbformat
from nbclient import NotebookClient

notebook = nbformat.read("notebook.ipynb", as_version=4)
NotebookClient(notebook, timeout=600, allow_errors=True).execute()
nbformat.write(notebook, "notebook.ipynb")
"""
SUBMITTING = """
from trainingjob import Client, JobFailed

try:
    run = Client("{namespace}").submit(
        ["true"], image="{image}", name="nope", workdir=None,
        packages=["nope"], env={{"PIP_NO_INDEX": "1"}},
    )
    run.wait()
except JobFailed as failed:
    print(failed)
"""


@pytest.fixture(scope="session")
def programs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return install(tmp_path_factory.mktemp("client"), *NOTEBOOKS)


@pytest.fixture
def tj(programs: Path, installed: Installed, cluster: Cluster, tmp_path: Path) -> Tj:
    directory = tmp_path / "code"
    directory.mkdir()
    return Tj(programs, installed.kubeconfig, cluster.namespace, directory, installed.tracking_uri)


def run_of(cluster: Cluster, name: str) -> str:
    """Id of the run of a job that has ended; the job is deleted, and gone at the return."""
    run_id = str(cluster.status(name)["mlflow"]["runId"])
    cluster.delete(name)
    wait_for(f"{name} is gone", lambda: cluster.get(name) is None, 60)
    return run_id


def test_a_directory_of_50_megabytes(tj: Tj, cluster: Cluster) -> None:
    content = os.urandom(50 * 2**20)
    (tj.directory / "weights.bin").write_bytes(content)
    (tj.directory / "train.py").write_text(CHECKING)
    read = f"read {hashlib.sha256(content).hexdigest()}"
    began = time.time()
    done = tj("run", "--name", "large", "--", "python", "train.py")
    print(f"50 MB: {time.time() - began:.0f} s from the call to the job's end")
    lines = done.stdout.splitlines()
    assert done.returncode == 0, (lines, done.stderr)
    assert lines[0] == "tj: code: 2 files, 50 MiB (50 MiB packed), through MLflow"
    assert read in lines

    (tj.directory / "weights.bin").unlink()
    again = tj("rerun", run_of(cluster, "large"), "--name", "again")
    assert again.returncode == 0, (again.stdout, again.stderr)
    assert read in again.stdout.splitlines()


def git(directory: Path, *arguments: str) -> None:
    who = ("-c", "user.name=e2e", "-c", "user.email=e2e@example.com")
    subprocess.run(["git", "-C", str(directory), *who, *arguments], check=True)


def test_the_same_losses_again_from_the_run_alone(
    tj: Tj, cluster: Cluster, installed: Installed
) -> None:
    script = tj.directory / "train.py"
    script.write_text(TRAINING.replace("0.001", "0.1"))
    git(tj.directory, "init", "--quiet")
    git(tj.directory, "add", ".")
    git(tj.directory, "commit", "--quiet", "--message", "Train")
    script.write_text(TRAINING)
    done = tj("run", "--name", "first", "--", "python", "train.py")
    assert done.returncode == 0, (done.stdout, done.stderr)
    first = run_of(cluster, "first")
    script.write_text("raise SystemExit(1)\n")

    again = tj("rerun", first, "--name", "second")
    assert again.returncode == 0, (again.stdout, again.stderr)
    second = run_of(cluster, "second")
    losses = [
        [point.value for point in installed.mlflow.get_metric_history(run_id, "train/loss")]
        for run_id in (first, second)
    ]
    assert len(losses[0]) == 20
    assert losses[0] == losses[1]
    one, other = (installed.mlflow.get_run(run_id).data.tags for run_id in (first, second))
    assert other["code.repeats"] == "first"
    for tag in ("code.sha256", "code.commit", "code.command", "trainingjob.image"):
        assert other[tag] == one[tag]
    kept = Path(installed.mlflow.download_artifacts(second, "code"))
    assert {file.name for file in kept.iterdir()} == {"changes.diff", "code.tar.gz", "job.yaml"}
    assert (
        "+optimizer = torch.optim.SGD(model.parameters(), lr=0.001)"
        in (kept / "changes.diff").read_text().splitlines()
    )


def outputs(notebook: Path) -> list[str]:
    """What each cell printed, or its error."""
    cells: list[dict[str, Any]] = json.loads(notebook.read_text())["cells"]
    return [
        "".join("".join(one.get("text", [])) or one["evalue"] for one in cell["outputs"])
        for cell in cells
    ]


def test_a_function_of_a_notebook(tj: Tj, cluster: Cluster) -> None:
    wheel(tj.directory, "1.0")
    notebook = tj.directory / "notebook.ipynb"
    place = {"image": IMAGE, "namespace": tj.namespace}
    cells = [cell % place if "%(" in cell else cell for cell in CELLS]
    body: dict[str, Any] = {
        "cell_type": "code",
        "metadata": {},
        "execution_count": None,
        "outputs": [],
    }
    written = [{**body, "id": str(n), "source": cell} for n, cell in enumerate(cells)]
    notebook.write_text(
        json.dumps({"cells": written, "metadata": {}, "nbformat": 4, "nbformat_minor": 5})
    )
    done = tj.python(EXECUTING)
    assert done.returncode == 0, done.stderr
    assert outputs(notebook) == [
        *("", "", "", ""),
        "{'loss': 0.25, 'text': 'hello 1.0'}\n",
        (
            "late uses missing, which no cell of the notebook sets: set it in a cell, give it as "
            "an argument, or import it from a module"
        ),
    ]


def test_a_package_that_is_not_there(tj: Tj, cluster: Cluster) -> None:
    done = tj.python(SUBMITTING.format(namespace=tj.namespace, image=IMAGE))
    message = "the packages cannot be installed: ERROR: No matching distribution found for nope"
    ended = f"the container exited with code 1: {message}"
    assert done.stdout == f"nope failed: NonZeroExitCode: {ended}\n", done.stderr
    assert f"  message  {ended}" in tj("why", "nope").stdout.splitlines()
    shown = tj("logs", "nope").stdout.splitlines()
    assert "tj: installing nope" in shown
    assert shown[-1] == f"tj: {message}"
