"""A state of all ranks, cut into shares: each rank copies and writes one of them.

A share has the rank's own shards of the tensors that are sharded, and some of the tensors that all
ranks have alike.
"""

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
                tensors[path] = described_as(value.detach(), value)
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
    """Return the tensors that `rank` writes: its shards, and a part of those that all have alike.

    Each of these is in one share, and the shares weigh alike. All ranks come to the same shares
    without asking each other.
    """
    weights = [0] * world_size
    share = {path: one for path, one in tensors.items() if is_shard(one) and one.numel() > 0}
    alike = [path for path, one in tensors.items() if not is_shard(one)]
    for path in sorted(alike, key=lambda path: (-tensors[path].nbytes, path)):
        lightest = weights.index(min(weights))
        weights[lightest] += tensors[path].nbytes
        if lightest == rank:
            share[path] = tensors[path]
    return share


def describe_shard(local: Tensor, shape: tuple[int, ...], offsets: tuple[int, ...]) -> Tensor:
    """Say of a tensor of which larger one it is a shard, as DCP reads it (CheckpointableTensor)."""
    places = {
        "global_shape": shape,
        "global_offsets": (offsets,),
        "local_offsets": ((0,) * local.dim(),),
        "local_sizes": (tuple(local.shape),),
    }
    for name, value in places.items():
        setattr(local, name, value)
    return local


def is_shard(tensor: Tensor) -> bool:
    """Whether this is a shard of a larger tensor."""
    return hasattr(tensor, "global_shape")


def described_as(local: Tensor, other: Tensor) -> Tensor:
    """Say of a tensor the same as of another one, if that is a shard."""
    if not is_shard(other):
        return local
    shape, offsets = other.global_shape, other.global_offsets  # type: ignore[attr-defined]  # set above
    return describe_shard(local, shape, offsets[0])
