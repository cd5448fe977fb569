"""A client of MLflow's tracking servers."""

from trainingjob_operator.adapters.mlflow_rest.server import MlflowServer
from trainingjob_operator.adapters.mlflow_rest.values import (
    CONNECTION_FAILED,
    Credentials,
    MlflowError,
    RunInfo,
)

__all__ = ["CONNECTION_FAILED", "Credentials", "MlflowError", "MlflowServer", "RunInfo"]
