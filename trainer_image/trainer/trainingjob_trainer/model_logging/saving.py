"""A model as files, in the first format that it can be saved in and comes back from."""

import json
import logging
import platform
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor, nn

from trainingjob_trainer.model_logging.description import HALF, as_arrays, signature_of
from trainingjob_trainer.model_logging.own_code import OwnCode, carried_along
from trainingjob_trainer.model_logging.shards import Shards, modules_forgotten, pickling, size_of

Format = Literal["pt2", "pickle", "shards"]
Weights = Mapping[str, Any]

SHARD_BYTES = 2 * 1024**3
"""A model that is larger is saved in files of this size, and each is a request of its own."""
_REQUIRED = ("mlflow", "torch", "numpy")

_logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class SavedModel:
    """A directory with an MLflow model, or with bare weights when `format` is None."""

    path: Path
    format: Format | None


def save_model(
    model: nn.Module, example: Tensor, directory: Path, shard_bytes: int = SHARD_BYTES
) -> SavedModel:
    """Save a model that is on the CPU and in evaluation mode, below `directory`.

    pt2 is a traced graph, which loads without the user's code and takes any batch size; pickle
    takes along the code that no pip requirement gives; shards are a pickle whose tensors are in
    files of `shard_bytes` beside it, for a model that is larger than that; the last resort are
    weights, with signature and input example. A model that takes only bf16 or fp16 becomes one of
    fp32, as the examples of MLflow are. The model is not copied.
    """
    if len(example) == 1:
        # A tracer takes a batch of one for the only size that there is.
        example = torch.cat([example, example])
    if example.dtype in HALF:
        example = example.float()
    try:
        output = _run(model, example)
    except Exception as error:  # noqa: BLE001 - whatever a user's model does on a CPU
        _logger.warning("the model does not run on the CPU: %s", _first_line(error))
        return save_weights(model.state_dict(), example, directory)
    arguments: dict[str, Any] = {
        "pytorch_model": model,
        "signature": signature_of(example, output),
        "input_example": as_arrays(example),
    }
    large = size_of(model) > shard_bytes
    formats: tuple[Format, ...] = ("shards",) if large else ("pt2", "pickle")
    for serialization in formats:
        path = directory / serialization
        try:
            if serialization == "shards":
                _save_shards(path, model, arguments, shard_bytes)
            elif serialization == "pickle":
                _save(path, "pickle", arguments, carried_along(model))
            else:
                _save(path, "pt2", arguments)
            _compare(path, example, output)
        except Exception as error:  # noqa: BLE001 - whatever a user's model does to an exporter
            _logger.warning(
                "the model cannot be saved as %s: %s", serialization, _first_line(error)
            )
        else:
            return SavedModel(path, serialization)
    return save_weights(model.state_dict(), example, directory, output)


def _run(model: nn.Module, example: Tensor) -> object:
    with torch.no_grad():
        try:
            return model(example)
        except Exception as error:
            if not any(parameter.dtype in HALF for parameter in model.parameters()):
                raise
            _logger.warning("the model is saved in fp32: %s", _first_line(error))
            return model.float()(example)


def save_weights(
    weights: Weights, example: Tensor | None, directory: Path, output: object = None
) -> SavedModel:
    """Save what is left of a model that cannot be saved whole, with what is known about it."""
    path = directory / "weights"
    path.mkdir()
    torch.save(
        {key: item.cpu() if isinstance(item, Tensor) else item for key, item in weights.items()},
        path / "state_dict.pt",
    )
    if example is not None:
        signature = signature_of(example, output)
        (path / "signature.json").write_text(json.dumps(signature.to_dict(), indent=2))
        np.save(path / "input_example.npy", as_arrays(example))
    return SavedModel(path, None)


def _save(
    path: Path,
    serialization: Literal["pt2", "pickle"],
    arguments: Mapping[str, Any],
    code: OwnCode | None = None,
) -> None:
    import mlflow.pytorch

    required = [*_REQUIRED, *(code.packages if code else ())]
    with ExitStack() as around:
        if code is not None:
            around.enter_context(code.pickled())
            around.enter_context(_quiet())
        mlflow.pytorch.save_model(
            path=path,
            serialization_format=serialization,
            conda_env=_environment(required),
            **arguments,
        )


def _save_shards(path: Path, model: nn.Module, arguments: Mapping[str, Any], limit: int) -> None:
    from mlflow.models import Model

    shards = Shards(model, limit)
    # Before there is the module that reads shards, which is to be imported, not pickled.
    code = carried_along(model)
    with (
        TemporaryDirectory() as directory,
        pickling(shards, Path(directory)) as (pickle_module, source),
    ):
        _save(
            path,
            "pickle",
            {**arguments, "pickle_module": pickle_module, "code_paths": [str(source)]},
            code,
        )
    shards.write(path / "data")
    description = Model.load(str(path))
    description.model_size_bytes = sum(
        file.stat().st_size for file in path.rglob("*") if file.is_file()
    )
    description.save(str(path / "MLmodel"))


def _compare(path: Path, example: Tensor, output: object) -> None:
    """Load what was saved, as others will, on other images too.

    Raises:
        AssertionError: it does not say what the model says, or that cannot be compared.
    """
    import mlflow.pytorch

    with torch.no_grad(), modules_forgotten():
        loaded = mlflow.pytorch.load_model(str(path))
        again = loaded(example)
    torch.testing.assert_close(again, output, rtol=1e-3, atol=1e-4, equal_nan=True)


def _environment(packages: list[str]) -> dict[str, Any]:
    """Name what the model needs: to infer that takes MLflow seconds and a second process.

    As a conda environment, because MLflow warns if it has to make one of bare requirements in an
    image without pip.
    """
    # A build's local version, as in 2.15.0+cpu, is no version of the public index.
    pinned = [f"{name}=={version(name).partition('+')[0]}" for name in packages]
    return {
        "name": "model",
        "channels": ["conda-forge"],
        "dependencies": [f"python={platform.python_version()}", "pip", {"pip": pinned}],
    }


@contextmanager
def _quiet() -> Iterator[None]:
    """Silence MLflow's advice against pickle: it is the fallback here, and we said so."""
    logger = logging.getLogger("mlflow.pytorch")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        logger.setLevel(level)


def _first_line(error: Exception) -> str:
    return (str(error) or type(error).__name__).strip().splitlines()[0][:300]
