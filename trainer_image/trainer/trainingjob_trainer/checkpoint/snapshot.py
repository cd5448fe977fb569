"""Copies of states that training goes on to change."""

from typing import Any

import numpy as np
import torch
from torch import Tensor

from trainingjob_trainer.checkpoint.shares import described_as


class Snapshot:
    """Copies states into host memory, into the same memory each time.

    Memory that was used before is not cleared by the kernel page by page again, and pinned memory
    takes what a GPU sends at the full rate of the bus.
    """

    def __init__(self) -> None:
        self._buffers: dict[tuple[Any, ...], Tensor] = {}

    def take(self, state: Any) -> Any:
        """Return a copy of nested dicts, lists and tuples with their tensors.

        It is valid until the next call. Numbers of NumPy become Python's: a learning rate may be
        one, and a checkpoint that is read as data cannot hold it.
        """
        copy = self._copy(state, ())
        if torch.cuda.is_available():
            torch.cuda.synchronize()
        return copy

    def _copy(self, value: Any, path: tuple[Any, ...]) -> Any:
        match value:
            case Tensor():
                return described_as(self._copy_tensor(value.detach(), path), value)
            case dict():
                return {key: self._copy(item, (*path, key)) for key, item in value.items()}
            case list():
                return [self._copy(item, (*path, i)) for i, item in enumerate(value)]
            case tuple():
                return tuple(self._copy(item, (*path, i)) for i, item in enumerate(value))
            case np.generic():
                return value.item()
            case _:
                return value

    def _copy_tensor(self, tensor: Tensor, path: tuple[Any, ...]) -> Tensor:
        buffer = self._buffers.get(path)
        if buffer is None or (buffer.shape, buffer.dtype) != (tensor.shape, tensor.dtype):
            buffer = torch.empty(tensor.shape, dtype=tensor.dtype, pin_memory=tensor.is_cuda)
            self._buffers[path] = buffer
        return buffer.copy_(tensor, non_blocking=True)
