"""The installed operator on a real node: `make deploy` started cluster and loaded images."""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from uuid import uuid4

import pytest

from demo import cluster as installation
from tests.support import training
from tests.support.api import Cluster
from tests.support.node import Installed


@pytest.fixture(scope="session")
def shared_directory(tmp_path_factory: pytest.TempPathFactory, worker_id: str) -> Path:
    """One directory for all processes of pytest-xdist, among which the tests are divided."""
    base = tmp_path_factory.getbasetemp()
    return base if worker_id == "master" else base.parent


@pytest.fixture(scope="session")
def installed(shared_directory: Path) -> Installed:
    """Operator and demo MLflow by `helm upgrade --install`, as the README says; once for all."""
    installation.adopt_environment()
    tracking_uri = os.environ["MLFLOW_TRACKING_URI"]
    found = Installed(Path(os.environ["KUBECONFIG"]), tracking_uri)
    done = shared_directory / "installed"
    with (shared_directory / "installing").open("a") as handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        if not done.exists():
            installation.install(tracking_uri)
            training.open_node_directory(Cluster(found.kubeconfig, "default"))
            done.touch()
    return found


@pytest.fixture
def cluster(
    installed: Installed, shared_directory: Path, request: pytest.FixtureRequest
) -> Iterator[Cluster]:
    """A namespace of its own, under the restricted Pod Security Standard.

    A test that is marked `alone` has the cluster for itself until its jobs are gone.
    """
    alone = request.node.get_closest_marker("alone") is not None
    found = Cluster(installed.kubeconfig, f"e2e-{uuid4().hex[:8]}")
    labels = {"pod-security.kubernetes.io/enforce": "restricted"}
    with _room(shared_directory, fcntl.LOCK_EX if alone else fcntl.LOCK_SH):
        found.core.create_namespace({"metadata": {"name": found.namespace, "labels": labels}})
        yield found
        found.delete_all()
        found.core.delete_namespace(found.namespace)


@contextmanager
def _room(directory: Path, kind: int) -> Iterator[None]:
    """Be in a room that holds many, or one alone, over all processes.

    All come in by one door, so that one who waits to be alone is not passed for ever.
    """
    with (directory / "room").open("a") as room:
        with (directory / "door").open("a") as door:
            fcntl.flock(door, fcntl.LOCK_EX)
            fcntl.flock(room, kind)
        yield


@pytest.fixture
def steady(cluster: Cluster) -> Iterator[None]:
    """What `steady_job` mounts: its code, and a volume for its checkpoints."""
    training.create_code(cluster)
    training.create_checkpoint_claim(cluster)
    yield
    cluster.core.delete_persistent_volume(cluster.namespace)
