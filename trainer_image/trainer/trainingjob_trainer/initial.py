"""Weights that a training begins with: of a file, of a checkpoint, or of a model in MLflow."""

import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, distributed, nn

from trainingjob_trainer.checkpoint import CheckpointStore
from trainingjob_trainer.distributed import Ranks
from trainingjob_trainer.options import OptionError

_IN_MLFLOW = ("models:/", "runs:/")
_FILES_OF_WEIGHTS = (".pt", ".pth", ".bin")
_NAMED = 3
"""Differences that an error names."""

_Weights = Mapping[str, Any]

_logger = logging.getLogger(__name__)


def load_initial_weights(model: nn.Module, source: str, ranks: Ranks, *, first: bool) -> None:
    """Load weights into a model that may be sharded; rank 0 reads them. All ranks come here.

    Args:
        model: as the task builds it, of this rank.
        source: a file by `torch.save` with a state dict; a directory of checkpoints, or one of
            them; `models:/…` or `runs:/…`, a PyTorch model in MLflow or such a file.
        ranks: all ranks.
        first: whether this is rank 0.

    Raises:
        OptionError: they cannot be read, or are those of another model.
    """
    weights: _Weights = {}
    problem = None
    if first:
        try:
            weights = _read(source)
            _check_fit(weights, model.state_dict())
        except Exception as error:  # noqa: BLE001 - of torch, MLflow, an artifact store: all the same here
            problem = f"--initial-weights {source}: {error}"
    problem = ranks.of_first(problem)
    if problem is not None:
        raise OptionError(problem)
    _share(model, weights)
    _logger.info("begins with the weights of %s", source)


def _read(source: str) -> _Weights:
    if source.startswith(_IN_MLFLOW):
        return _of_mlflow(source)
    path = Path(source)
    if (path / "MLmodel").is_file():
        return _of_model(source)
    if path.is_dir():
        return _of_checkpoint(path)
    return _of_file(path)


def _of_mlflow(uri: str) -> _Weights:
    from trainingjob_agent.delivery.connection import import_mlflow

    import_mlflow()
    if not uri.endswith(_FILES_OF_WEIGHTS):
        return _of_model(uri)
    import mlflow.artifacts

    return _of_file(Path(mlflow.artifacts.download_artifacts(uri)))


def _of_model(uri: str) -> _Weights:
    import mlflow.pytorch

    model = mlflow.pytorch.load_model(uri, map_location="cpu")
    weights: _Weights = model.state_dict()
    return weights


def _of_file(path: Path) -> _Weights:
    weights = torch.load(path, map_location="cpu", weights_only=True)
    if not isinstance(weights, Mapping):
        raise TypeError(f"there is a {type(weights).__name__} in it, not a state dict")
    return weights


def _of_checkpoint(path: Path) -> _Weights:
    """Read the model of one checkpoint, or of the newest of a directory."""
    named = CheckpointStore.step_of(path.name)
    store = CheckpointStore(path if named is None else path.parent, keep=1)
    problems = []
    for step in store.steps() if named is None else [named]:
        problem = store.problem(step, rank=0)
        if problem is None:
            return store.read_model(step)
        problems.append(f"checkpoint of step {step}: {problem}")
    raise FileNotFoundError("; ".join(problems) or "there is no checkpoint in it")


def _check_fit(weights: _Weights, expected: _Weights) -> None:
    """Compare names and shapes, which torch does only once all ranks wait for each other.

    Raises:
        ValueError: they differ.
    """
    others = [
        f"{name} is {_shape(weights[name])}, not {_shape(one)}"
        for name, one in expected.items()
        if name in weights and _shape(weights[name]) != _shape(one)
    ]
    differences = [
        *(f"{name} is missing" for name in expected if name not in weights),
        *(f"{name} is unknown" for name in weights if name not in expected),
        *others,
    ]
    if differences:
        more = len(differences) - _NAMED
        named = ", ".join(differences[:_NAMED])
        raise ValueError(f"not of this model: {named}{f' and {more} more' if more > 0 else ''}")


def _shape(value: object) -> object:
    return tuple(value.shape) if isinstance(value, Tensor) else "no tensor"


def _share(model: nn.Module, weights: _Weights) -> None:
    """Give each rank what it has of the model; only rank 0 has the weights."""
    if not distributed.is_initialized():
        model.load_state_dict(weights)
        return
    from torch.distributed.checkpoint.state_dict import StateDictOptions, set_model_state_dict

    options = StateDictOptions(full_state_dict=True, broadcast_from_rank0=True)
    set_model_state_dict(model, dict(weights), options=options)
