"""What a call of MLflow's client under `trainingjob-exec` does not do again and again."""

import sys
from pathlib import Path

import pytest

from tests.integration.agent.executing import ended
from tests.support.pod_process import Trainer, job, mlflow_server, trainer

__all__ = ["job", "mlflow_server", "trainer"]

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


@pytest.mark.usefixtures("job")
def test_pyspark_is_not_looked_for_at_each_call(trainer: Trainer, tmp_path: Path) -> None:
    (tmp_path / "script.py").write_text(COUNTING)

    code, output, errors = ended(trainer.execute(sys.executable, f"{tmp_path}/script.py"))

    assert code == 0, errors
    assert output.splitlines()[0] == "0"
