"""Whether another attempt will be able to read what a checkpoint is to hold."""

import io
from collections.abc import Iterable
from typing import Any

import torch


def check_readable(state: Any, path: str) -> None:
    """Write and read a state in memory, as a checkpoint is.

    Args:
        state: nested dicts, lists and tuples.
        path: where it is in the checkpoint.

    Raises:
        TypeError: what is in it cannot be written, or not be read as data; names the place.
    """
    error = _refusal(state)
    if error is None:
        return
    for key, item in _items(state):
        check_readable(item, f"{path}/{key}")
    kind = type(state)
    raise TypeError(
        f"no attempt could read a checkpoint with {path} in it, a "
        f"{kind.__module__}.{kind.__qualname__}: use numbers, texts, tensors, lists and dicts"
    ) from error


def _refusal(state: Any) -> Exception | None:
    file = io.BytesIO()
    try:
        torch.save(state, file)
        file.seek(0)
        torch.load(file, weights_only=True)
    except Exception as error:  # noqa: BLE001 - pickle raises any; the caller does so with the place
        return error
    return None


def _items(state: Any) -> Iterable[tuple[Any, Any]]:
    match state:
        case dict():
            return state.items()
        case list() | tuple():
            return enumerate(state)
        case _:
            return ()
