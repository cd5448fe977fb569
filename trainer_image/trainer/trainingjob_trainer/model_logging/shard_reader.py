"""Reads the tensors of a model, which are in several files beside its pickle.

A copy of this file is in the model's folder `code`, under a name of its own: MLflow imports it to
unpickle the model. It needs nothing but torch.
"""

from functools import cache
from pathlib import Path
from pickle import Unpickler
from typing import Any

import torch
from torch import Tensor

__all__ = ["Unpickler", "read_tensor"]

_DIRECTORY = Path(__file__).parent.parent / "data"


def read_tensor(
    file: str,
    key: str,
    dtype: torch.dtype,
    view: tuple[int, tuple[int, ...], tuple[int, ...]],
    requires_grad: bool | None,
    attributes: dict[str, Any],
) -> Tensor:
    """Return a tensor on the CPU; the kernel reads it from the file as it is used.

    Args:
        file: that has its storage.
        key: of the storage in that file.
        dtype: of the tensor.
        view: offset, shape and strides in the storage.
        requires_grad: of a parameter; None: it is none.
        attributes: what else the tensor had.
    """
    tensor = torch.empty(0, dtype=dtype).set_(_storages(file)[key].untyped_storage(), *view)
    if requires_grad is not None:
        tensor = torch.nn.Parameter(tensor, requires_grad)
    for name, value in attributes.items():
        setattr(tensor, name, value)
    return tensor


@cache
def _storages(file: str) -> dict[str, Tensor]:
    # Mapped as private: who changes the model does not change the file.
    found: dict[str, Tensor] = torch.load(_DIRECTORY / file, mmap=True, weights_only=True)
    return found
