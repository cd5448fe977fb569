"""A model's tensors in several files, beside a pickle that refers to them.

No flavor of MLflow for PyTorch knows of shards. But MLflow imports the module that is to unpickle a
model from the model's own folder `code`, so that module (`shard_reader`) finds the files.
"""

import importlib.util
import secrets
import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import chain
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import torch
from torch import Tensor, nn

from trainingjob_trainer.model_logging import shard_reader

_PREFIX = "trainingjob_shards_"
_Storages = dict[str, Tensor]


class Shards:
    """The storages of a model's parameters and buffers, in files of at most `limit` bytes.

    One that is larger has a file of its own. Nothing is copied.
    """

    def __init__(self, model: nn.Module, limit: int) -> None:
        groups: list[_Storages] = []
        room = 0
        self._places: dict[int, tuple[int, str]] = {}
        for tensor in chain(model.parameters(), model.buffers()):
            if not _is_plain(tensor) or _address(tensor) in self._places:
                continue
            raw = torch.empty(0, dtype=torch.uint8).set_(tensor.untyped_storage())
            if raw.nbytes > room:
                groups.append({})
                room = limit
            room -= raw.nbytes
            key = str(len(groups[-1]))
            groups[-1][key] = raw
            self._places[_address(tensor)] = len(groups), key
        self._files = {
            f"shard_{number:05d}-of-{len(groups):05d}.pt": group
            for number, group in enumerate(groups, start=1)
        }

    def write(self, directory: Path) -> None:
        """Write the files; raises OSError."""
        for name, storages in self._files.items():
            torch.save(storages, directory / name)

    def arguments_of(self, tensor: Tensor) -> tuple[Any, ...] | None:
        """Return what `read_tensor` needs for a tensor; None: it is in no file."""
        if not _is_plain(tensor) or _address(tensor) not in self._places:
            return None
        number, key = self._places[_address(tensor)]
        return (
            list(self._files)[number - 1],
            key,
            tensor.dtype,
            (tensor.storage_offset(), tuple(tensor.shape), tensor.stride()),
            tensor.requires_grad if isinstance(tensor, nn.Parameter) else None,
            dict(vars(tensor)),
        )


@contextmanager
def pickling(shards: Shards, directory: Path) -> Iterator[tuple[Any, Path]]:
    """Give what MLflow needs to pickle a model: the pickle module, and its source to take along."""
    import cloudpickle

    # Else a second model in one process would find the module, and so the files, of the first.
    name = f"{_PREFIX}{secrets.token_hex(8)}"
    source = directory / f"{name}.py"
    shutil.copyfile(shard_reader.__file__, source)
    reader = _imported(name, source)

    class Pickler(cloudpickle.CloudPickler):  # type: ignore[misc]  # it has no types
        def reducer_override(self, value: object) -> Any:
            arguments = shards.arguments_of(value) if isinstance(value, Tensor) else None
            if arguments is not None:
                return reader.read_tensor, arguments
            return super().reducer_override(value)

    with modules_forgotten():
        sys.modules[name] = reader
        yield SimpleNamespace(__name__=name, Pickler=Pickler), source


@contextmanager
def modules_forgotten() -> Iterator[None]:
    """Leave nothing of what MLflow imports from the folders of models."""
    path = list(sys.path)
    try:
        yield
    finally:
        sys.path[:] = path
        for name in [name for name in sys.modules if name.startswith(_PREFIX)]:
            del sys.modules[name]


def size_of(model: nn.Module) -> int:
    """Return the bytes of a model's parameters and buffers."""
    return sum(tensor.nbytes for tensor in chain(model.parameters(), model.buffers()))


def _is_plain(tensor: Tensor) -> bool:
    """Whether a tensor is no more than memory of the CPU, its shape and its type."""
    return (
        type(tensor) in (Tensor, nn.Parameter)
        and (tensor.device.type, tensor.layout) == ("cpu", torch.strided)
        and tensor.numel() > 0
        and not (tensor.is_quantized or tensor.is_conj() or tensor.is_neg())
    )


def _address(tensor: Tensor) -> int:
    return tensor.untyped_storage().data_ptr()


def _imported(name: str, source: Path) -> ModuleType:
    specification = importlib.util.spec_from_file_location(name, source)
    if specification is None or specification.loader is None:
        raise ImportError(f"{source} cannot be imported")
    module = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(module)
    return module
