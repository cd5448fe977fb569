from tests.support.fixtures import cluster, kwok, mlflow, mlflow_process, operator, runs

__all__ = ["cluster", "kwok", "mlflow", "mlflow_process", "operator", "runs"]
