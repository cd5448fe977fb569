"""Reads the tensors of a model, which are in several files beside its pickle.

A copy of this file is in the model's folder `code`, under a name of its own: MLflow imports it to
unpickle the model. It needs nothing but torch.
"""

import pickle
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

_DIRECTORY = Path(__file__).parent.parent / "data"


class Unpickler(pickle.Unpickler):
    """Maps the files anew for each model: who changes one does not change another."""

    def __init__(self, *arguments: Any, **more: Any) -> None:
        super().__init__(*arguments, **more)
        self._storages: dict[str, dict[str, Tensor]] = {}

    def find_class(self, module: str, name: str) -> Any:
        """Return what a name in the pickle stands for."""
        if (module, name) == (__name__, read_tensor.__name__):
            return partial(read_tensor, self._storages)
        return super().find_class(module, name)


def read_tensor(
    storages: dict[str, dict[str, Tensor]],
    file: str,
    key: str,
    dtype: torch.dtype,
    view: tuple[int, tuple[int, ...], tuple[int, ...]],
    requires_grad: bool | None,
    attributes: dict[str, Any],
) -> Tensor:
    """Return a tensor on the CPU; the kernel reads it from the file as it is used.

    Args:
        storages: of the files that are mapped, by file and key.
        file: that has its storage.
        key: of the storage in that file.
        dtype: of the tensor.
        view: offset, shape and strides in the storage.
        requires_grad: of a parameter; None: it is none.
        attributes: what else the tensor had.
    """
    if file not in storages:
        # Mapped as private: who changes the model does not change the file.
        storages[file] = torch.load(_DIRECTORY / file, mmap=True, weights_only=True)
    tensor = torch.empty(0, dtype=dtype).set_(storages[file][key].untyped_storage(), *view)
    if requires_grad is not None:
        tensor = torch.nn.Parameter(tensor, requires_grad)
    for name, value in attributes.items():
        setattr(tensor, name, value)
    return tensor
