"""Batches of any structure."""

import dataclasses
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from trainingjob_trainer.task import Batch


def place(batch: Batch, device: torch.device) -> Any:
    """Return the batch with its tensors on a device; what is no tensor stays as it is.

    What has a method `to`, such as a packed sequence or the batch of a tokenizer, moves itself.
    """
    match batch:
        case Tensor():
            return batch.to(device, non_blocking=True)
        case _ if hasattr(batch, "to"):
            return batch.to(device)
        case Mapping():
            return {key: place(value, device) for key, value in batch.items()}
        case tuple() if hasattr(batch, "_fields"):
            return type(batch)(*(place(value, device) for value in batch))
        case list() | tuple():
            return type(batch)(place(value, device) for value in batch)
        case _ if dataclasses.is_dataclass(batch) and not isinstance(batch, type):
            return _place_fields(batch, device)
        case _:
            return batch


def _place_fields(batch: Any, device: torch.device) -> Any:
    names = [field.name for field in dataclasses.fields(batch) if field.init]
    placed = {name: place(getattr(batch, name), device) for name in names}
    return dataclasses.replace(batch, **placed)
