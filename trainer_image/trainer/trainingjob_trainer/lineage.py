"""The data sets of a training as inputs of its run."""

import json
from collections.abc import Sequence
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from trainingjob_trainer.task import DatasetVersion

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import DatasetInput

_OF_THE_WEB = ("http", "https")


def log_datasets(client: "MlflowClient", run_id: str, datasets: Sequence[DatasetVersion]) -> None:
    """Make data sets inputs of the run (runs/log-inputs); those that it has stay one each."""
    client.log_inputs(run_id, datasets=[input_of(dataset) for dataset in datasets])


def input_of(dataset: DatasetVersion) -> "DatasetInput":
    """Return what MLflow's client takes, with a source as its classes of sources write theirs."""
    from mlflow.entities import Dataset, DatasetInput, InputTag
    from mlflow.utils.mlflow_tags import MLFLOW_DATASET_CONTEXT

    scheme = urlsplit(dataset.source).scheme
    of_the_web = scheme in _OF_THE_WEB
    return DatasetInput(
        Dataset(
            name=dataset.name,
            digest=dataset.digest,
            source_type="http" if of_the_web else scheme or "local",
            source=json.dumps({"url" if of_the_web else "uri": dataset.source}),
        ),
        tags=[InputTag(MLFLOW_DATASET_CONTEXT, dataset.context)],
    )
