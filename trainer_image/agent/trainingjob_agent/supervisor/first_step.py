"""Sees whether a process that trains has found the other nodes, at its first optimizer step.

Each node that believes to be alone trains the whole model, and all of them succeed. Imported by the
hook in jobs of several nodes only.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

from trainingjob_agent.supervisor.on_import import when_imported

LONE = "lone"
"""The file that a process writes to the directory of the script; it holds what it has found."""

_OPTIMIZERS = "torch.optim.optimizer"
_OTHER_WAYS = ("horovod", "mpi4py")
"""Libraries by which ranks average gradients without `torch.distributed`."""


def report_lone_node(directory: str) -> None:
    """Have this process say so at its first optimizer step if it trains without other nodes."""
    when_imported(_OPTIMIZERS, lambda module: _watch(module, directory))


def is_alone(world_size: int, environment: dict[str, str]) -> bool:
    """Whether a rank of `world_size` ranks in all belongs to a training of its own node only."""
    nodes = int(environment.get("TRAININGJOB_NUM_NODES", "1"))
    of_node = environment.get("LOCAL_WORLD_SIZE") or environment.get("PET_NPROC_PER_NODE") or "1"
    return nodes > 1 and (world_size < nodes or str(world_size) == of_node)


def _watch(module: ModuleType, directory: str) -> None:
    register = getattr(module, "register_optimizer_step_post_hook", None)
    if register is None:
        return  # torch before 2.0

    def at_first_step(*_: object) -> None:
        handle.remove()
        _check(directory)

    handle = register(at_first_step)


def _check(directory: str) -> None:
    distributed: Any = sys.modules.get("torch.distributed")
    joined = distributed is not None and distributed.is_available() and distributed.is_initialized()
    world_size = distributed.get_world_size() if joined else 1
    if any(name in sys.modules for name in _OTHER_WAYS) or not is_alone(
        world_size, dict(os.environ)
    ):
        return
    ranks = "a process that joined no others" if world_size == 1 else f"{world_size} processes"
    try:
        (Path(directory) / LONE).write_text(ranks, encoding="utf-8")
    except OSError as error:
        sys.stderr.write(f"trainingjob-exec: this node trains alone, with {ranks} ({error})\n")
