"""Clusters that start, are killed at any moment, recover and go without a trace.

They live in a cache of their own, beside those that a developer has running; only the built
programs are shared.
"""

import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import psutil
import pytest
from localcluster.paths import cache_directory

from localcluster import gobuild, kind, programs
from tests.integration.localcluster.machine import Machine, cluster_processes, supervisor
from tests.support.waiting import wait_for

REPOSITORY = Path(__file__).parents[3]
COMMAND = (sys.executable, "-m", "localcluster")
IS_ROOT = os.geteuid() == 0
# With Docker the node is kind's, and kind's one cluster belongs to the developer.
TOOLS = {"kwok": tuple(programs.kwok_tools().values())}
if IS_ROOT and not kind.engine_answers():
    TOOLS["node"] = programs.NODE_TOOLS

# Long enough for a machine on which the programs have still to be built.
pytestmark = pytest.mark.timeout(3600)


@dataclass
class LocalCluster:
    """`localcluster` as a user of one profile calls it, from the clone at `clone`."""

    profile: str
    cache: Path
    machine: Machine
    clone: Path | None = field(default=None)

    def run(self, command: str) -> str:
        """What it said to the user; fails the test unless it ends with 0."""
        result = subprocess.run(
            [*COMMAND, command, f"--profile={self.profile}"],
            env=self.environment,
            capture_output=True,
            text=True,
            check=False,
            timeout=300,
        )
        assert result.returncode == 0, result.stderr
        return result.stderr

    def start(self, command: str) -> "subprocess.Popen[bytes]":
        """Start it and do not wait."""
        return subprocess.Popen(
            [*COMMAND, command, f"--profile={self.profile}"],
            env=self.environment,
            stderr=subprocess.DEVNULL,
        )

    @property
    def environment(self) -> dict[str, str]:
        """The environment of a shell in the clone."""
        clone = {"PYTHONPATH": str(self.clone)} if self.clone else {}
        return {**os.environ, "TRAININGJOB_CACHE_DIR": str(self.cache), **clone}

    @property
    def is_healthy(self) -> bool:
        """Whether `status` says so."""
        result = subprocess.run(
            [*COMMAND, "status", "--json", f"--profile={self.profile}"],
            env=self.environment,
            capture_output=True,
            check=False,
        )
        return json.loads(result.stdout)["healthy"] is True

    @property
    def supervisor(self) -> psutil.Process | None:
        """Its first process, None while there is none."""
        try:
            return supervisor(self.cache, self.profile)
        except LookupError:
            return None

    def run_pod(self, name: str) -> None:
        """Run a pod, in a shell that has evaluated `env`."""
        script = f"""
            eval "$({" ".join(COMMAND)} env --profile {self.profile})"
            kubectl run {name} --image=docker.io/trainingjob/pause:dev --image-pull-policy=Never
            kubectl wait --for=condition=Ready --timeout=60s pod/{name}
            """
        result = subprocess.run(
            ["bash", "-e", "-c", script],
            env=self.environment,
            capture_output=True,
            text=True,
            check=False,
        )
        assert result.returncode == 0, result.stderr


@pytest.fixture(scope="module", params=TOOLS)
def cluster(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[LocalCluster]:
    """A profile in a cache of its own; a test finds it as the test before left it."""
    gobuild.ensure(*TOOLS[request.param])
    cache = tmp_path_factory.mktemp("cache")
    (cache / "tools").symlink_to(cache_directory() / "tools")
    found = LocalCluster(request.param, cache, Machine(cache))
    yield found
    found.run("down")


@pytest.mark.parametrize("moment", ["the supervisor runs", "all components are healthy"])
def test_an_up_that_was_killed_can_be_repeated(cluster: LocalCluster, moment: str) -> None:
    cluster.run("down")
    killed = cluster.start("up")
    health = cluster.cache / "clusters" / cluster.profile / "health.json"
    reached = {
        "the supervisor runs": lambda: cluster.supervisor is not None,
        # What `up` itself does after that is still to come.
        "all components are healthy": lambda: (
            health.exists() and '"ready": true' in health.read_text()
        ),
    }
    wait_for(moment, reached[moment], 120, poll=0.01)
    killed.kill()
    assert killed.wait() == -signal.SIGKILL

    assert f"the {cluster.profile} cluster is up\n" in cluster.run("up")
    cluster.run_pod("repeated")


def test_a_second_up_does_nothing(cluster: LocalCluster) -> None:
    cluster.run("up")
    before = cluster.supervisor

    said = cluster.run("up")

    assert said == f"localcluster: the {cluster.profile} cluster is up already\n"
    assert cluster.supervisor == before  # psutil compares the start times too


def test_all_killed_at_once_and_up_again_from_another_clone(
    cluster: LocalCluster, tmp_path: Path
) -> None:
    cluster.run("up")
    cluster.run_pod("before")
    processes = cluster_processes(cluster.cache, cluster.profile)
    in_pods = [process for process in processes if process.name() == "pause"]
    assert bool(in_pods) == (cluster.profile == "node")

    for process in processes:
        with suppress(psutil.NoSuchProcess):  # it may have died with its parent a moment ago
            process.kill()
    cluster.clone = tmp_path / "localcluster"
    shutil.copytree(REPOSITORY / "localcluster", cluster.clone)
    assert f"the {cluster.profile} cluster is up\n" in cluster.run("up")

    assert not [process for process in processes if process.is_running()]
    started = cluster.supervisor
    assert started is not None
    assert started.environ()["PYTHONPATH"] == str(cluster.clone)
    assert cluster.is_healthy
    cluster.run_pod("after")


def test_down_leaves_nothing(cluster: LocalCluster) -> None:
    cluster.run("up")
    cluster.run_pod("last")
    expected = {"processes"}
    if cluster.profile == "node":
        expected |= {"links", "routes", "network namespaces", "cgroups"}
    assert set(cluster.machine.left_behind()) == expected

    cluster.run("down")

    assert cluster.machine.left_behind() == {}
    kept = {"bin", "clusters", "tools"} | ({"containerd"} if cluster.profile == "node" else set())
    assert {path.name for path in cluster.cache.iterdir()} == kept
    assert [path.name for path in (cluster.cache / "clusters").iterdir()] == [
        f"{cluster.profile}.lock"
    ]


def test_a_real_node_without_root_and_docker(tmp_path: Path) -> None:
    # The interpreter may lie where only root may read, hence the capability.
    capability = ("--inh-caps=+dac_override", "--ambient-caps=+dac_override")
    nobody = ("setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", *capability)

    result = subprocess.run(
        [*(nobody if IS_ROOT else ()), *COMMAND, "up"],
        env={
            "PATH": os.environ["PATH"],
            "HOME": str(tmp_path),
            "DOCKER_HOST": "unix:///no/such/docker.sock",
        },
        capture_output=True,
        text=True,
        check=False,
    )

    assert (result.returncode, result.stdout) == (2, "")
    assert result.stderr == (
        "localcluster: a cluster with a real node needs either a Docker engine that answers"
        " `docker info` or root on Linux for the embedded cluster; this machine offers neither\n"
    )
    assert list(tmp_path.iterdir()) == []
