"""A client of MLflow's tracking servers."""

from trainingjob_operator.adapters.mlflow_rest.api import MlflowApi
from trainingjob_operator.adapters.mlflow_rest.values import (
    CONNECTION_FAILED,
    Credentials,
    MlflowError,
    ModelInfo,
    RunInfo,
)

__all__ = ["CONNECTION_FAILED", "Credentials", "MlflowApi", "MlflowError", "ModelInfo", "RunInfo"]
