"""Fixtures of the tests and benchmarks on the control plane with fake nodes."""

import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path
from uuid import uuid4

import pytest
from localcluster.paths import cache_directory

from localcluster import gobuild, programs
from tests.support import service_account
from tests.support.api import Cluster, Runs
from tests.support.processes import HASTY, MlflowServer, OperatorProcess
from tests.support.service_account import OperatorLogin
from tests.support.waiting import wait_for

REPOSITORY = Path(__file__).parents[2]
CRD = "manifests/crd.yaml"
LOCALCLUSTER = (sys.executable, "-m", "localcluster")


@dataclass(frozen=True)
class Kwok:
    """A running cluster as a shell sees it that has evaluated `localcluster env`."""

    environment: dict[str, str]

    @property
    def kubeconfig(self) -> Path:
        return Path(self.environment["KUBECONFIG"])

    @property
    def audit_log(self) -> Path:
        """One JSON event a line for each write that the API server answered."""
        return Path(self.environment["TRAININGJOB_AUDIT_LOG"])

    @cached_property
    def operator_login(self) -> OperatorLogin:
        """A kubeconfig with the rights that a user gives the operator."""
        token = self.kubectl(
            *("create", "token", service_account.NAME),
            f"--namespace={service_account.NAMESPACE}",
            f"--duration={service_account.TOKEN_DURATION}",
        )
        target = self.kubeconfig.with_name("operator.kubeconfig")
        return service_account.login(self.kubeconfig, token.strip(), target)

    def kubectl(self, *arguments: str, stdin: str | None = None) -> str:
        """Output of kubectl; fails the test with kubectl's message if it fails."""
        result = self.call(*arguments, stdin=stdin)
        if result.returncode:
            pytest.fail(f"kubectl {' '.join(arguments)}: {result.stderr}")
        return result.stdout

    def call(self, *arguments: str, stdin: str | None = None) -> "subprocess.CompletedProcess[str]":
        """What came of a call of kubectl."""
        return subprocess.run(
            ("kubectl", *arguments),
            env=self.environment,
            cwd=REPOSITORY,
            input=stdin,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )

    def define(self) -> bool:
        """Apply our definition and the operator's rights; whether TrainingJobs are served.

        An established one is not yet: for a moment all calls are answered with 429, "storage is
        (re)initializing", by which a watch of a test that comes first would end.
        """
        apply = ("apply", "--server-side", "--force-conflicts", "--filename")
        for arguments, stdin in (
            ((*apply, CRD), None),
            ((*apply, "-"), service_account.account()),
            (("get", "trainingjobs", "--all-namespaces"), None),
        ):
            result = self.call(*arguments, stdin=stdin)
            if result.returncode:
                print(f"kubectl {' '.join(arguments)}: {result.stderr}")
                return False
        return True


@pytest.fixture(scope="session")
def kwok(worker_id: str) -> Kwok:
    """The cluster with fake nodes, started if it is not running, with our CRD in it."""
    environment = {**os.environ, "TRAININGJOB_CACHE_DIR": str(_cache(worker_id))}
    command = partial(subprocess.run, cwd=REPOSITORY, env=environment, check=True)
    command((*LOCALCLUSTER, "up", "--profile", "kwok"))
    exports = command(
        (*LOCALCLUSTER, "env", "--profile", "kwok"),
        capture_output=True,
        text=True,
    ).stdout
    cluster = Kwok(_evaluated(exports))
    wait_for("TrainingJobs are served", cluster.define, 60)
    return cluster


@pytest.fixture(scope="session")
def mlflow_process(tmp_path_factory: pytest.TempPathFactory) -> Iterator[MlflowServer]:
    """One MLflow server for all tests: each has an experiment of its own."""
    server = MlflowServer(tmp_path_factory.mktemp("mlflow"))
    yield server
    server.end()


@pytest.fixture
def mlflow(mlflow_process: MlflowServer) -> MlflowServer:
    """The MLflow server, running; a test may stop and start it."""
    if not mlflow_process.running:
        mlflow_process.start()
    return mlflow_process


@pytest.fixture
def cluster(kwok: Kwok) -> Iterator[Cluster]:
    """A namespace of its own on the control plane with fake nodes."""
    found = Cluster(kwok.kubeconfig, f"test-{uuid4().hex[:8]}")
    found.create_namespace()
    yield found
    found.delete_all()


@pytest.fixture
def runs(mlflow: MlflowServer, cluster: Cluster) -> Runs:
    """The runs of the namespace's jobs: the default experiment has its name."""
    return Runs(mlflow.uri, cluster.namespace)


@pytest.fixture
def operator_settings() -> Mapping[str, str]:
    """Settings of the operator that are not its defaults."""
    return HASTY


@pytest.fixture
def operator(
    kwok: Kwok,
    cluster: Cluster,
    mlflow: MlflowServer,
    operator_settings: Mapping[str, str],
    tmp_path: Path,
) -> Iterator[OperatorProcess]:
    """One replica of the operator; the jobs of the test are gone before it ends.

    It may do all that it tries: otherwise manifests/operator.yaml lacks a right.
    """
    offset = kwok.audit_log.stat().st_size
    replica = OperatorProcess(tmp_path, kwok.operator_login, mlflow.uri, settings=operator_settings)
    replica.start()
    yield replica
    cluster.delete_all()
    replica.end()
    assert service_account.forbidden(kwok.audit_log, offset) == []


def _cache(worker_id: str) -> Path:
    """The cache of a process of pytest-xdist, for a control plane of its own.

    Two operators would not share one. The first process has the developer's; only the built
    programs are shared. `make clean` removes the others.
    """
    shared = cache_directory()
    if worker_id in ("master", "gw0"):
        return shared
    gobuild.ensure(*programs.kwok_tools(programs.chosen_kubernetes()).values())
    own = shared / "processes" / worker_id
    own.mkdir(parents=True, exist_ok=True)
    with suppress(FileExistsError):
        (own / "tools").symlink_to(shared / "tools")
    return own


def _evaluated(exports: str) -> dict[str, str]:
    """The environment after a shell evaluated the exports."""
    script = 'eval "$1" && env -0'
    printed = subprocess.run(
        ("bash", "-c", script, "bash", exports),
        env=os.environ,
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    return dict(entry.split("=", 1) for entry in printed.split("\0") if "=" in entry)
