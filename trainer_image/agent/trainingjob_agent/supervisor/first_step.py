"""Sees whether a process that trains has found the other nodes, at its first optimizer step.

Each node that believes to be alone trains the whole model, and all of them succeed. Imported by the
hook in jobs of several nodes only.
"""

import importlib.machinery
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

LONE = "lone"
"""The file that a process writes to the directory of the script; it holds what it has found."""

_OPTIMIZERS = "torch.optim.optimizer"
_OTHER_WAYS = ("horovod", "mpi4py")
"""Libraries by which ranks average gradients without `torch.distributed`."""


class _Finder:
    """Lets the optimizers of torch be watched as soon as the script imports them."""

    def __init__(self, directory: str) -> None:
        self._directory = directory

    def find_spec(
        self, name: str, path: Sequence[str] | None = None, _target: ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        if name != _OPTIMIZERS:
            return None
        sys.meta_path.remove(self)
        spec = importlib.machinery.PathFinder.find_spec(name, path)
        loader: Any = spec.loader if spec is not None else None
        if loader is not None:
            execute = loader.exec_module

            def execute_and_watch(module: ModuleType) -> None:
                execute(module)
                _watch(module, self._directory)

            loader.exec_module = execute_and_watch
        return spec


def report_lone_node(directory: str) -> None:
    """Have this process say so at its first optimizer step if it trains without other nodes."""
    sys.meta_path.insert(0, _Finder(directory))


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
