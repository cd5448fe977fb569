from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.api import Cluster
from tests.support.fixtures import Kwok, cluster, kwok, runs
from tests.support.processes import MlflowServer, OperatorProcess

__all__ = ["cluster", "kwok", "runs"]


@pytest.fixture
def operator(
    kwok: Kwok, cluster: Cluster, mlflow: MlflowServer, tmp_path: Path
) -> Iterator[OperatorProcess]:
    """One replica with the settings that it has where nobody sets any."""
    replica = OperatorProcess(tmp_path, kwok.kubeconfig, mlflow.uri, settings={})
    replica.start()
    yield replica
    cluster.delete_all()
    replica.end()
