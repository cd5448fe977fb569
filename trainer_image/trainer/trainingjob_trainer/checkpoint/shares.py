"""A state that all ranks have alike, cut into shares: each rank copies and writes one of them."""

from collections.abc import Mapping
from typing import Any

from torch import Tensor

_MARK = "__tensor__"


def split(state: Any) -> tuple[Any, dict[str, Tensor]]:
    """Return `state` with marks in the place of its tensors, and the tensors by their paths.

    Scalar tensors stay in the state: an optimizer has hundreds of them, and they weigh nothing.
    """
    tensors: dict[str, Tensor] = {}

    def visit(value: Any, path: str) -> Any:
        match value:
            case Tensor() if value.dim() > 0:
                tensors[path] = value.detach()
                return {_MARK: path}
            case dict():
                return {key: visit(item, f"{path}/{key}") for key, item in value.items()}
            case list() | tuple():
                return type(value)(visit(item, f"{path}/{i}") for i, item in enumerate(value))
            case _:
                return value

    return visit(state, ""), tensors


def join(skeleton: Any, tensors: Mapping[str, Tensor]) -> Any:
    """Put the tensors back in their places.

    Raises:
        KeyError: one of them is missing.
    """
    match skeleton:
        case {"__tensor__": str(path)}:
            return tensors[path]
        case dict():
            return {key: join(item, tensors) for key, item in skeleton.items()}
        case list() | tuple():
            return type(skeleton)(join(item, tensors) for item in skeleton)
        case _:
            return skeleton


def share_of(tensors: Mapping[str, Tensor], rank: int, world_size: int) -> dict[str, Tensor]:
    """Return the tensors that `rank` writes: each one is in one share, the shares weigh alike.

    All ranks come to the same shares without asking each other.
    """
    weights = [0] * world_size
    share = {}
    for path in sorted(tensors, key=lambda path: (-tensors[path].nbytes, path)):
        lightest = weights.index(min(weights))
        weights[lightest] += tensors[path].nbytes
        if lightest == rank:
            share[path] = tensors[path]
    return share
