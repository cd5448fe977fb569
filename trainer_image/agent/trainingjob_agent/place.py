"""Which rank of a training a process is, as its launcher says in its environment.

Imported at the start of each Python process of a script, so it imports next to nothing.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, MutableMapping

STARTED = "started"
"""The file that each Python process of a script touches as it begins, but for helpers."""

_PARENTS_PLACE = "TRAININGJOB_PLACE"
_OF_ONE_RANK = ("RANK", "LOCAL_RANK", "TORCHELASTIC_RUN_ID")


def place_of(environment: Mapping[str, str]) -> str:
    """Return what distinguishes a rank from its launcher, and is the same in its helpers."""
    return "/".join(environment.get(variable, "") for variable in _OF_ONE_RANK)


def begin(directory: str, environment: MutableMapping[str, str]) -> tuple[str, bool]:
    """Note that a process of the script begins; return its place and whether it is a helper.

    A helper is what a Python process of the same place has started.

    Raises:
        OSError: there is no room for the note.
    """
    place = place_of(environment)
    helper = environment.get(_PARENTS_PLACE) == place
    environment[_PARENTS_PLACE] = place
    if not helper:
        path = f"{directory}/{STARTED}"
        os.close(os.open(path, os.O_WRONLY | os.O_CREAT, 0o600))
        os.utime(path)
    return place, helper


def rank_of(environment: Mapping[str, str]) -> int | None:
    """Return the rank; None where nobody says.

    Lightning's own launcher gives its processes no RANK, but LOCAL_RANK, NODE_RANK and the total.
    """
    rank = number_in(environment, "RANK")
    local_rank = number_in(environment, "LOCAL_RANK")
    if rank is not None or local_rank is None:
        return rank
    nodes = number_in(environment, "NNODES") or 1
    total = number_in(environment, "WORLD_SIZE") or nodes
    processes = number_in(environment, "LOCAL_WORLD_SIZE") or total // nodes
    return (number_in(environment, "NODE_RANK") or 0) * processes + local_rank


def number_in(environment: Mapping[str, str], variable: str) -> int | None:
    """Return the number of a variable; None where it has none."""
    text = environment.get(variable, "")
    return int(text) if text.isascii() and text.isdigit() else None
