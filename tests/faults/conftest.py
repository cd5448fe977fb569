from tests.support.chaos.fixtures import laboratory, references
from tests.support.fixtures import kwok, mlflow_process

__all__ = ["kwok", "laboratory", "mlflow_process", "references"]
