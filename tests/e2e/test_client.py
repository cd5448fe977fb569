"""`tj` from its wheel alone, on real pods: from a script on this machine to its end."""

import re
import signal
import subprocess
import time
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from tests.support.api import Cluster
from tests.support.client import Tj, install
from tests.support.node import Installed, log, pods
from tests.support.processes import free_port
from tests.support.waiting import wait_for

GREETING = "import sys\nprint('hello', *sys.argv[1:], flush=True)\n"
# Four processes on two nodes; of the first attempt the last one fails, and the first node waits.
RANKS = r"""
import os, subprocess, sys, time

attempt, node = int(os.environ["TRAININGJOB_ATTEMPT"]), int(os.environ["TRAININGJOB_NODE_RANK"])
if len(sys.argv) == 1:
    ranks = (2 * node, 2 * node + 1)
    ends = [subprocess.Popen([sys.executable, sys.argv[0], str(rank)]) for rank in ranks]
    sys.exit(max(one.wait() for one in ends))
rank = int(sys.argv[1])
for number in range(50):
    # At once: two processes write into one pipe.
    os.write(1, f"attempt {attempt} rank {rank} line {number}\n".encode())
    time.sleep(0.01)
if attempt == 1:
    time.sleep(600 if node == 0 else 2)
sys.exit(3 if (rank, attempt) == (3, 1) else 0)
"""
# Four workers in one pod, which torchrun starts again when the last one has failed.
WORKERS = r"""
import os, sys, time

rank, start = int(os.environ["RANK"]), int(os.environ["TORCHELASTIC_RESTART_COUNT"]) + 1
for number in range(50):
    os.write(1, f"attempt {start} rank {rank} line {number}\n".encode())
    time.sleep(0.01)
if start == 1:
    time.sleep(2 if rank == 3 else 600)
    sys.exit(3)
"""
FAILING = """
import sys

def load(path):
    raise FileNotFoundError(f"no data at {path}")

if len(sys.argv) > 1:
    sys.exit(int(sys.argv[1]))
load("/data/train")
"""


@pytest.fixture(scope="session")
def programs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return install(tmp_path_factory.mktemp("client"))


@pytest.fixture
def tj(programs: Path, installed: Installed, cluster: Cluster, tmp_path: Path) -> Tj:
    directory = tmp_path / "code"
    directory.mkdir()
    return Tj(programs, installed.kubeconfig, cluster.namespace, directory, installed.tracking_uri)


def seconds_to_first_line(tj: Tj, cluster: Cluster, name: str, line: str) -> tuple[float, float]:
    """Run train.py; seconds from the call to the pod's container, and to its first line here."""
    began = time.time()
    running = tj.start("run", "--name", name, "--", "python", "train.py", "you")
    assert running.stdout is not None
    shown: list[str] = []
    for text in running.stdout:
        shown.append(text.rstrip("\n"))
        if shown[-1] == line:
            break
    first = time.time()
    _, error = running.communicate(timeout=120)
    assert running.returncode == 0, (shown, error)
    [pod] = pods(cluster, name)
    [state] = [one.state for one in pod.status.container_statuses if one.name == "trainer"]
    started = state.terminated.started_at.timestamp()
    return max(started - began, 0), first - began


def test_a_script_is_run_edited_and_run_again(tj: Tj, cluster: Cluster) -> None:
    began = time.time()
    subprocess.run([tj.programs / "tj", "--help"], check=True, stdout=subprocess.DEVNULL)
    print(f"tj --help: {time.time() - began:.2f} s")
    script = tj.directory / "train.py"
    for number, word in enumerate(("hello", "goodbye"), 1):
        script.write_text(GREETING.replace("hello", word))
        pod, line = seconds_to_first_line(tj, cluster, f"train-{number}", f"{word} you")
        print(f"run {number}: {pod:.0f} s to the container's start, {line:.1f} s to the first line")


def of_each_rank(lines: Iterator[str]) -> dict[int, list[str]]:
    """The lines of the script by the rank of their process; ranks mix as they like."""
    found = defaultdict(list)
    for line in lines:
        if match := re.search(r"attempt \d rank (\d) line \d+$", line):
            found[int(match[1])].append(match[0])
    return dict(found)


def test_the_output_of_four_processes_through_a_restart(tj: Tj, cluster: Cluster) -> None:
    (tj.directory / "ranks.py").write_text(RANKS)
    command = ("python", "ranks.py")
    made = tj("run", "--name", "ranks", "--nodes", "2", "--dry-run", "--", *command)
    code, job = yaml.safe_load_all(made.stdout)
    job["spec"] |= {"backoffLimit": 1, "retry": {"retryableExitCodes": [3]}}
    (tj.directory / "job.yaml").write_text(yaml.safe_dump_all([code, job]))

    done = tj("run", "--file", "job.yaml")
    assert done.returncode == 0, (done.stdout, done.stderr)
    assert re.search(r"^tj: Restarting: .*code 3", done.stdout, re.MULTILINE)
    # What each of the four pods has written, line by line.
    written = sorted(pods(cluster, "ranks"), key=lambda pod: str(pod.metadata.name))
    assert [pod.metadata.name[:9] for pod in written] == [
        *("ranks-1-0", "ranks-1-1", "ranks-2-0", "ranks-2-1"),
    ]
    for node in (0, 1):
        own = [pod for pod in written if pod.metadata.name.split("-")[2] == str(node)]
        expected = [line for pod in own for line in log(cluster, pod.metadata.name).splitlines()]
        prefix = f"[{node}] "
        shown = [line for line in done.stdout.splitlines() if line.startswith(prefix)]
        assert shown == [f"{prefix}{line}" for line in expected]
    whole = {
        rank: [f"attempt {n} rank {rank} line {m}" for n in (1, 2) for m in range(50)]
        for rank in range(4)
    }
    assert of_each_rank(iter(done.stdout.splitlines())) == whole
    listed = tj("logs", "ranks").stdout.splitlines()
    assert of_each_rank(iter(listed)) == whole

    for pod in written:
        cluster.core.delete_namespaced_pod(pod.metadata.name, cluster.namespace)
    wait_for("the pods are gone", lambda: not pods(cluster, "ranks"), 60)
    kept = tj("logs", "ranks")
    assert of_each_rank(iter(kept.stdout.splitlines())) == whole, kept.stderr
    second = tj("logs", "ranks", "--rank", "1", "--attempt", "2").stdout.splitlines()
    assert of_each_rank(iter(second)) == {
        rank: [f"attempt 2 rank {rank} line {m}" for m in range(50)] for rank in (2, 3)
    }
    address = f"http://127.0.0.1:{free_port()}"
    unreachable = tj(
        "logs", "ranks", MLFLOW_TRACKING_URI=address, MLFLOW_HTTP_REQUEST_MAX_RETRIES="0"
    )
    assert (unreachable.returncode, unreachable.stderr.splitlines()) == (
        1,
        [
            (
                f"error: MLflow at {address} does not answer as it should: [Errno 111] Connection "
                "refused"
            ),
            (
                "→ set MLFLOW_TRACKING_URI to an address that this machine reaches, such as that "
                "of a kubectl port-forward, and MLFLOW_TRACKING_TOKEN where it asks for a login"
            ),
        ],
    )


def test_the_output_of_workers_that_torchrun_starts_again(tj: Tj, cluster: Cluster) -> None:
    (tj.directory / "workers.py").write_text(WORKERS)
    options = ("--nproc-per-node", "4", "--max-restarts", "1")
    done = tj("run", "--name", "workers", "--", "torchrun", *options, "workers.py")
    assert done.returncode == 0, (done.stdout, done.stderr)
    [pod] = pods(cluster, "workers")
    written = log(cluster, pod.metadata.name).splitlines()
    # Ours are no lines of the pod.
    ours = (f"workers created in namespace {tj.namespace}", "tj: ")
    assert [line for line in done.stdout.splitlines() if not line.startswith(ours)] == written
    assert of_each_rank(iter(written)) == {
        rank: [f"attempt {start} rank {rank} line {n}" for start in (1, 2) for n in range(50)]
        for rank in range(4)
    }
    assert tj("logs", "workers").stdout.splitlines() == written


def test_exit_codes_and_causes(tj: Tj, cluster: Cluster) -> None:
    (tj.directory / "train.py").write_text(FAILING)
    for code in (0, 7):
        started = tj(
            "run", "--name", f"exits-{code}", "--detach", "--", "python", "train.py", f"{code}"
        )
        assert started.stdout.splitlines()[-1] == (
            f"tj logs exits-{code} --follow --namespace {tj.namespace} comes back, "
            f"tj stop exits-{code} --namespace {tj.namespace} ends it"
        )
    failed = tj("run", "--name", "fails", "--", "python", "train.py")
    assert failed.returncode == 1
    assert "Traceback (most recent call last):" in failed.stdout
    expected = [
        "fails failed.",
        "  cause    FileNotFound, a data set, a checkpoint or another file is not there",
        (
            "  message  no data at /data/train. Check the path, spec.volumeMounts, and what the "
            "image has there. (/trainingjob/workdir/train.py:5 in load)"
        ),
        "  line     /trainingjob/workdir/train.py:5 in load",
    ]
    why = tj("why", "fails").stdout.splitlines()
    assert why[:4] == expected
    assert failed.stdout.splitlines()[-len(why) :] == why
    assert tj("wait", "exits-0").returncode == 0
    waited = tj("wait", "exits-7")
    assert (waited.returncode, waited.stdout) == (7, "exits-7 Failed\n")


def test_ctrl_c_detaches(tj: Tj, cluster: Cluster) -> None:
    (tj.directory / "train.py").write_text(
        "import time\nprint('on', flush=True)\ntime.sleep(600)\n"
    )
    running = tj.start("run", "--name", "long", "--", "python", "train.py")
    assert running.stdout is not None
    assert "on\n" in iter(running.stdout.readline, "")
    [pod] = pods(cluster, "long")
    uri = cluster.status("long")["mlflow"]["trackingUri"]
    assert tj("doctor").stdout.splitlines()[-1] == (
        f"✓ MLflow at {uri} answers in pod {pod.metadata.name}"
    )
    running.send_signal(signal.SIGINT)
    _, error = running.communicate(timeout=60)
    assert (running.returncode, error) == (
        130,
        (
            f"\ndetached, long goes on: tj logs long --follow --namespace {tj.namespace} "
            f"comes back, tj stop long --namespace {tj.namespace} ends it\n"
        ),
    )
    assert cluster.state("long") == "Running"
    assert tj("stop", "long").returncode == 0
    assert tj("wait", "long").stdout == "long Stopped\n"
    assert tj("logs", "long").stdout.splitlines()[0] == "on"


def test_what_is_said_when_something_is_wrong(tj: Tj, cluster: Cluster, tmp_path: Path) -> None:
    (tj.directory / "train.py").write_text(GREETING)
    run = ("run", "--name", "train", "--", "python", "train.py")
    config = yaml.safe_load(tj.kubeconfig.read_text())
    [found], [user] = config["clusters"], config["users"]
    server = found["cluster"]["server"]

    nowhere = tj(run[0], "--namespace", "nowhere", *run[1:])
    assert nowhere.stderr.splitlines() == [
        f"error: {server} has no namespace nowhere",
        "→ choose another by --namespace, or have it created",
    ]
    cluster.core.create_namespaced_service_account(tj.namespace, {"metadata": {"name": "guest"}})
    token = cluster.core.create_namespaced_service_account_token(
        "guest", tj.namespace, {"spec": {}}
    )
    user["user"] = {"token": token.status.token}
    (tmp_path / "guest").write_text(yaml.safe_dump(config))
    guest = f'User "system:serviceaccount:{tj.namespace}:guest"'
    assert tj(*run, KUBECONFIG=str(tmp_path / "guest")).stderr.splitlines() == [
        (
            f'error: configmaps is forbidden: {guest} cannot create resource "configmaps" in API '
            f'group "" in the namespace "{tj.namespace}"'
        ),
        (
            f"→ choose another --namespace, or ask for the role edit in namespace {tj.namespace} "
            "(docs/install.md)"
        ),
    ]
    found["cluster"]["server"] = f"https://127.0.0.1:{free_port()}"
    (tmp_path / "away").write_text(yaml.safe_dump(config))
    assert tj(*run, KUBECONFIG=str(tmp_path / "away")).stderr.splitlines() == [
        (
            f"error: the API server {found['cluster']['server']} does not answer: "
            "[Errno 111] Connection refused"
        ),
        "→ is the cluster up, the VPN on, and the context right (kubectl config current-context)?",
    ]
