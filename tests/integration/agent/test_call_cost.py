"""What a call of MLflow's client under `trainingjob-exec` does not do again and again."""

import sys
from pathlib import Path

import pytest
from trainingjob_agent.delivery.batch import Batch
from trainingjob_agent.delivery.connection import import_mlflow
from trainingjob_agent.delivery.rest import log_batch

from tests.integration.agent.executing import ended
from tests.support.pod_process import Trainer, job, mlflow_server, run_id, trainer
from tests.support.processes import MlflowServer

__all__ = ["job", "mlflow_server", "run_id", "trainer"]

COUNTING = """
import sys
import mlflow

class Searches:
    pyspark = 0
    def find_spec(self, name, path=None, target=None):
        self.pyspark += name == "pyspark"

searches = Searches()
sys.meta_path.insert(0, searches)
mlflow.log_metrics({"loss": 1.0}, step=1)
first = searches.pyspark
for step in range(2, 10):
    mlflow.log_metrics({"loss": 1.0}, step=step)
print(searches.pyspark - first)
"""


def test_a_delivery_looks_for_no_package_that_is_not_there(
    mlflow_server: MlflowServer, run_id: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Those of Databricks' clusters, for which MLflow looks three times at each request."""
    import_mlflow()
    batch = Batch(params=(("lr", "0.1"),))
    log_batch(mlflow_server.uri, run_id, batch)
    searches = Searches()
    monkeypatch.setattr(sys, "meta_path", [searches, *sys.meta_path])

    log_batch(mlflow_server.uri, run_id, batch)

    assert searches.names == []


class Searches:
    """Sees which modules are looked for, and finds none."""

    def __init__(self) -> None:
        self.names: list[str] = []

    def find_spec(self, name: str, *_: object) -> None:
        self.names.append(name)


@pytest.mark.usefixtures("job")
def test_pyspark_is_not_looked_for_at_each_call(trainer: Trainer, tmp_path: Path) -> None:
    (tmp_path / "script.py").write_text(COUNTING)

    code, output, errors = ended(trainer.execute(sys.executable, f"{tmp_path}/script.py"))

    assert code == 0, errors
    assert output.splitlines()[0] == "0"
