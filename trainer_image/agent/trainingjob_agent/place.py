"""Which rank of a training a process is, as its launcher says in its environment.

Imported at the start of each Python process of a script, so it imports next to nothing.
"""

from collections.abc import Mapping

_OF_ONE_RANK = ("RANK", "LOCAL_RANK", "TORCHELASTIC_RUN_ID")


def place_of(environment: Mapping[str, str]) -> str:
    """Return what tells a rank from the launcher above it, and is the same in its helpers."""
    return "/".join(environment.get(variable, "") for variable in _OF_ONE_RANK)


def rank_of(environment: Mapping[str, str]) -> int | None:
    """Return the rank; None where nobody says.

    Lightning's own launcher gives its processes no RANK, but LOCAL_RANK, NODE_RANK and the total.
    """
    rank = _number(environment, "RANK")
    local_rank = _number(environment, "LOCAL_RANK")
    if rank is not None or local_rank is None:
        return rank
    nodes = _number(environment, "NNODES") or 1
    node_rank = _number(environment, "NODE_RANK") or 0
    return node_rank * ((_number(environment, "WORLD_SIZE") or 1) // nodes) + local_rank


def _number(environment: Mapping[str, str], variable: str) -> int | None:
    text = environment.get(variable, "")
    return int(text) if text.isascii() and text.isdigit() else None
