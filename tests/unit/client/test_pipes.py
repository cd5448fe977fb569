"""`tj` whose output another program reads."""

import os
import subprocess
import sys
from collections.abc import Iterator

import pytest

from tests.support.fake_api_server import FakeApiServer, FakePod
from tests.unit.client.bodies import body
from tests.unit.client.conftest import Tj


@pytest.fixture
def server() -> Iterator[FakeApiServer]:
    with FakeApiServer(body("Running", attempt=1)).running() as found:
        found.pods = [FakePod("mnist-1-0", log=["2026-01-01T00:00:01Z a"])]
        yield found


@pytest.fixture
def following(tj: Tj) -> "subprocess.Popen[str]":
    """Follows the job; with a buffer for its output, as Python has one for pipes."""
    variables = {key: value for key, value in os.environ.items() if key != "PYTHONUNBUFFERED"}
    return subprocess.Popen(
        (sys.executable, "-m", "trainingjob", "logs", "mnist", "--follow"),
        env={**variables, "KUBECONFIG": str(tj.kubeconfig)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def write(server: FakeApiServer, *lines: str) -> None:
    """Let the pod write its last lines, and the job succeed."""
    with server.change():
        server.pods[0].log += [f"2026-01-01T00:00:02Z {line}" for line in lines]
        server.pods[0].phase = "Succeeded"
        server.job = body("Succeeded", attempt=1)


def test_each_line_comes_when_it_is_written(
    server: FakeApiServer, following: "subprocess.Popen[str]"
) -> None:
    assert following.stdout is not None
    assert [following.stdout.readline() for _ in range(2)] == ["tj: Running\n", "a\n"]
    # A reader hangs on a server that does not answer: it is left, what it has read is not lost.
    with server.change():
        server.pods.append(FakePod("mnist-1-1", rank=1))
    write(server, *map(str, range(5000)))
    rest, error = following.communicate(timeout=120)
    assert (following.returncode, error) == (0, "")
    shown = [line for line in rest.splitlines() if line.isdigit()]
    assert shown == [str(number) for number in range(5000)]


def test_a_reader_that_has_enough(
    server: FakeApiServer, following: "subprocess.Popen[str]"
) -> None:
    """`tj logs NAME --follow | head -2`."""
    assert following.stdout is not None
    assert [following.stdout.readline() for _ in range(2)] == ["tj: Running\n", "a\n"]
    following.stdout.close()
    following.stdout = None
    write(server, "b", "c")
    _, error = following.communicate(timeout=120)
    assert (following.returncode, error) == (1, "")
