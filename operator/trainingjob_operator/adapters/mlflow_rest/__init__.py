"""A client of MLflow's tracking servers."""

from trainingjob_operator.adapters.mlflow_rest.api import MlflowApi
from trainingjob_operator.adapters.mlflow_rest.login import LOGIN, FileLogin, LoginError
from trainingjob_operator.adapters.mlflow_rest.values import (
    CONNECTION_FAILED,
    Credentials,
    Login,
    MlflowError,
    ModelInfo,
    RunInfo,
)

__all__ = [
    "CONNECTION_FAILED",
    "LOGIN",
    "Credentials",
    "FileLogin",
    "Login",
    "LoginError",
    "MlflowApi",
    "MlflowError",
    "ModelInfo",
    "RunInfo",
]
