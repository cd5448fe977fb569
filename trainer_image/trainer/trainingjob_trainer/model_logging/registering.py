"""A logged model as a version in MLflow's model registry."""

import logging
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import LoggedModel

_EXISTS = "RESOURCE_ALREADY_EXISTS"
_READY_SECONDS = 60

_logger = logging.getLogger(__name__)


def register(client: "MlflowClient", logged: "LoggedModel", run_id: str, name: str) -> None:
    """Make a model the newest version of the registered model `name`, unless it is one already.

    The registered model is created when there is none (registered-models/create,
    model-versions/create).

    Raises:
        MlflowException: the server does not take it.
    """
    _create_registered_model(client, name)
    for version in client.search_model_versions(f"run_id = '{run_id}'"):
        if (version.name, version.source) == (name, logged.model_uri):
            return
    version = client.create_model_version(
        name,
        source=logged.model_uri,
        run_id=run_id,
        model_id=logged.model_id,
        await_creation_for=_READY_SECONDS,
    )
    _logger.info("%s is version %s of the registered model %s", logged.name, version.version, name)


def _create_registered_model(client: "MlflowClient", name: str) -> None:
    from mlflow.exceptions import MlflowException

    try:
        client.create_registered_model(name)
    except MlflowException as error:
        if error.error_code != _EXISTS:
            raise
