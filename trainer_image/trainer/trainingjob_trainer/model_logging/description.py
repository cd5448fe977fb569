"""What a model takes and gives, as MLflow has it: numpy arrays and their signature."""

import logging
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

if TYPE_CHECKING:
    from mlflow.models import ModelSignature

HALF = frozenset({torch.float16, torch.bfloat16})
"""numpy has no bfloat16, and MLflow's examples, which are JSON, neither of them."""

_logger = logging.getLogger(__name__)


def signature_of(example: Tensor, output: object = None) -> "ModelSignature":
    """Return the signature; that of the images only if there is no schema of the output."""
    from mlflow.models import infer_signature

    inputs = as_arrays(example)
    try:
        return infer_signature(inputs, as_arrays(output))
    except Exception as error:  # noqa: BLE001 - whatever MLflow makes of a user's output
        _logger.warning("the signature of the model is without its output: %s", error)
        return infer_signature(inputs)


def as_arrays(value: object) -> Any:
    """Return an array, or a dict of such; several outputs without names get some."""
    if isinstance(value, Tensor):
        value = value.detach().cpu()
        return (value.float() if value.dtype in HALF else value).numpy()
    if isinstance(value, Mapping):
        return {str(key): as_arrays(item) for key, item in value.items()}
    if isinstance(value, (tuple, list)):
        return {f"output_{number}": as_arrays(item) for number, item in enumerate(value)}
    return value
