"""Commands that look into pods, by an API server and a kubectl of the test."""

import os
import pty
import signal
import subprocess
import sys
from collections.abc import Iterator

import pytest

from tests.support.fake_api_server import FakeApiServer, FakePod
from tests.support.processes import take_interrupts
from tests.unit.client.bodies import body
from tests.unit.client.conftest import Tj


@pytest.fixture
def server() -> Iterator[FakeApiServer]:
    with FakeApiServer(body("Running", {"numNodes": 2}, attempt=2)).running() as found:
        found.pods = [
            FakePod("mnist-1-0", 1, 0, "Failed", ["2026-01-01T00:00:01Z a"]),
            FakePod("mnist-2-0", 2, 0, "Running", ["2026-01-01T00:00:02Z b"]),
            FakePod("mnist-2-1", 2, 1, "Running", ["2026-01-01T00:00:03Z c"]),
        ]
        yield found


def test_a_shell_in_the_pod_of_a_rank(tj: Tj) -> None:
    calls = tj.install_kubectl(7)
    assert tj("shell", "mnist", "--rank", "1").returncode == 7
    assert calls.read_text() == (
        "exec mnist-2-1 --namespace ml --container trainer --stdin --tty -- "
        "sh -c exec $(command -v bash || command -v sh)\n"
    )
    assert tj("shell", "mnist", "--rank", "2").stderr.splitlines() == [
        "error: no pod of rank 2 runs",
        "→ tj why mnist says more",
    ]


def test_stacks_of_all_pods_that_run(tj: Tj) -> None:
    calls = tj.install_kubectl(0)
    assert tj("stacks", "mnist", "--context", "c").stdout == (
        "asked 2 pods: tj logs mnist --context c shows the stacks, "
        "and the run has them in stacks/\n"
    )
    assert calls.read_text().splitlines() == [
        f"exec mnist-2-{rank} --namespace ml --context c --container trainer -- sh -c kill -QUIT 1"
        for rank in (0, 1)
    ]


def test_a_kubectl_that_fails_and_none(tj: Tj) -> None:
    assert tj("stacks", "mnist").stderr.splitlines() == [
        "error: there is no kubectl here",
        "→ install it, of the cluster's version",
    ]
    tj.install_kubectl(1)
    assert tj("stacks", "mnist").stderr.splitlines() == [
        "error: mnist-2-0 does not take the signal: ",
        "→ the role must have create on pods/exec, and the image a shell",
    ]


def test_logs_have_the_rank_in_front_and_say_which_attempt(tj: Tj) -> None:
    done = tj("logs", "mnist")
    assert done.stdout.splitlines() == [
        *("tj: attempt 1", "[0] a", "tj: attempt 2", "[0] b", "[1] c"),
    ]
    assert tj("logs", "mnist", "--rank", "1").stdout.splitlines() == ["tj: attempt 2", "c"]


def test_a_watched_list_outlasts_an_outage(server: FakeApiServer, tj: Tj) -> None:
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        (sys.executable, "-m", "trainingjob", "ls", "--watch"),
        env={**os.environ, "KUBECONFIG": str(tj.kubeconfig), "COLUMNS": "200", "TERM": "xterm"},
        stdout=theirs,
        preexec_fn=take_interrupts,
    )
    os.close(theirs)

    def shown_until(text: bytes) -> None:
        shown = b""
        while text not in shown:
            shown += os.read(ours, 4096)

    shown_until(b"Running")
    with server.change():
        server.failing = True
    shown_until(b"trying again")
    with server.change():
        server.failing = False
        server.job = body("Succeeded", {"numNodes": 2}, attempt=2)
    shown_until(b"Succeeded")
    process.send_signal(signal.SIGINT)
    assert process.wait(60) == 0
    os.close(ours)
