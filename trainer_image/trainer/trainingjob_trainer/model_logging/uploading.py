"""A saved model as a LoggedModel of the run."""

import logging
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from torch import Tensor, nn

from trainingjob_trainer.model_logging.registering import register
from trainingjob_trainer.model_logging.saving import (
    SavedModel,
    save_model,
    save_weights,
)

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import LoggedModel, Run

STEP_TAG = "trainingjob.step"
"""Tag of a LoggedModel: the step that it was trained to."""

_logger = logging.getLogger(__name__)


class NotRegisteredError(Exception):
    """Bare weights cannot be a version of a registered model."""


class AbandonedError(Exception):
    """Nobody waits for the model any more."""


@dataclass(frozen=True, slots=True)
class TrainedModel:
    """A model as it was after `step` ≥ 1, and what it is called in the run.

    Attributes:
        module: on the CPU; several models may share one, so that there is memory for one only.
        registered_as: the model in the registry of which it becomes a version; None: it does not.
        load: makes the module what it was after `step`; None: it is.
    """

    name: str
    module: nn.Module
    step: int
    registered_as: str | None = None
    load: Callable[[nn.Module], None] | None = None


def log_model(
    client: "MlflowClient",
    run_id: str,
    model: TrainedModel,
    example: Tensor | None,
    abandoned: Callable[[], bool] = lambda: False,
) -> str:
    """Log a model as a LoggedModel of the run and return its URI; one that is there is left.

    The files are written first: a model that cannot be saved never gets a LoggedModel, which would
    be left in state FAILED. One whose upload fails is deleted. A model of which only the weights
    can be saved is the artifact `NAME/state_dict.pt`.

    `mlflow.models.Model.log` is not used: it asks for the whole history of every metric of the run
    (metrics/get-history, one call or more for each) to find those of one step, and saves again.

    Args:
        client: of the tracking server.
        run_id: the run that owns the model.
        model: maps images (N, C, H, W) to scores or images; its module is in evaluation mode
            afterwards.
        example: images; without any, only the weights are logged.
        abandoned: whether to give up between two calls.

    Raises:
        AbandonedError: it was given up, and is not in the run.
        NotRegisteredError: it is in the run, but it is to be registered and has only weights.
        MlflowException: the server does not take it.
    """
    logged = _logged(client, run_id, model) or _log(client, run_id, model, example, abandoned)
    if logged is None:
        if model.registered_as is not None:
            raise NotRegisteredError(
                f"only its weights could be saved, which cannot be {model.registered_as}: "
                "leave out --registered-model-name, or see above why"
            )
        return f"runs:/{run_id}/{model.name}/state_dict.pt"
    # Anew: its metrics may have come meanwhile, as after an outage.
    _link(client, client.get_run(run_id), logged.model_id, model.step)
    if model.registered_as is not None:
        _go_on_unless(abandoned)
        register(client, logged, run_id, model.registered_as)
    return str(logged.model_uri)


def _logged(client: "MlflowClient", run_id: str, model: TrainedModel) -> "LoggedModel | None":
    """Return the model if it is in the run already."""
    for logged in _models_of(client, client.get_run(run_id).info.experiment_id, run_id):
        if (logged.name, logged.tags.get(STEP_TAG)) == (model.name, str(model.step)):
            return logged
    return None


def _log(
    client: "MlflowClient",
    run_id: str,
    model: TrainedModel,
    example: Tensor | None,
    abandoned: Callable[[], bool],
) -> "LoggedModel | None":
    """Save and upload a model; None where that were bare weights."""
    run = client.get_run(run_id)
    with tempfile.TemporaryDirectory() as directory:
        saved = _save(model, example, Path(directory))
        _go_on_unless(abandoned)
        if saved.format is None:
            client.log_artifacts(run_id, str(saved.path), model.name)
            return None
        logged = client.create_logged_model(
            run.info.experiment_id,
            name=model.name,
            source_run_id=run_id,
            tags={STEP_TAG: str(model.step)},
            params=run.data.params,
        )
        try:
            _upload(client, logged, saved, run_id)
            _go_on_unless(abandoned)
            client.finalize_logged_model(logged.model_id, "READY")
        except BaseException:
            client.delete_logged_model(logged.model_id)
            raise
    return logged


def _save(model: TrainedModel, example: Tensor | None, directory: Path) -> SavedModel:
    """Save a model, which may fill most of the memory: there is no copy of it."""
    if model.load is not None:
        model.load(model.module)
    if example is None:
        return save_weights(model.module.state_dict(), None, directory)
    # A tracer guards the strides, and the arrays of others are contiguous.
    example = example.detach().cpu().contiguous()
    return save_model(model.module.cpu().eval(), example, directory)


def remove_unfinished(client: "MlflowClient", run_id: str) -> None:
    """Delete the run's LoggedModels that nobody goes on to upload."""
    _models_of(client, client.get_run(run_id).info.experiment_id, run_id)


def _models_of(client: "MlflowClient", experiment_id: str, run_id: str) -> list["LoggedModel"]:
    """Return what is ready; delete what an attempt that was killed left half uploaded."""
    from mlflow.entities import LoggedModelStatus

    found = client.search_logged_models(
        [experiment_id], filter_string=f"source_run_id = '{run_id}'"
    )
    ready = []
    for logged in found:
        if logged.status == LoggedModelStatus.READY:
            ready.append(logged)
        elif STEP_TAG in logged.tags:
            client.delete_logged_model(logged.model_id)
            _logger.info("removed model %s, whose upload had not ended", logged.model_id)
    return ready


def _upload(client: "MlflowClient", logged: "LoggedModel", saved: SavedModel, run_id: str) -> None:
    from mlflow.models import Model

    description = Model.load(str(saved.path))
    description.run_id = run_id
    description.model_id = logged.model_id
    description.model_uuid = logged.model_id
    description.artifact_path = logged.artifact_location
    description.save(str(saved.path / "MLmodel"))
    client.log_model_artifacts(logged.model_id, str(saved.path))


def _go_on_unless(abandoned: Callable[[], bool]) -> None:
    if abandoned():
        raise AbandonedError


def _link(client: "MlflowClient", run: "Run", model_id: str, step: int) -> None:
    """Show the model as an output of the run, with its validation metrics, unless it is one.

    These have one point an epoch: their history is short, whatever else the run has. The same
    point with the model's id is one point in the run's history still.
    """
    from mlflow.entities import LoggedModelOutput, Metric

    outputs = run.outputs.model_outputs if run.outputs else []
    if model_id in {output.model_id for output in outputs}:
        return
    run_id = run.info.run_id
    points = [
        Metric(m.key, m.value, m.timestamp, m.step, model_id=model_id, run_id=run_id)
        for key in run.data.metrics
        if key.startswith("val/")
        for m in client.get_metric_history(run_id, key)
        if m.step == step and m.model_id is None
    ]
    client.log_batch(run_id, metrics=points)
    # Last, as it says that the above is done.
    client.log_outputs(run_id, [LoggedModelOutput(model_id, step)])
