"""The process group of all ranks."""

import logging
from datetime import timedelta

import torch
from torch import distributed

_logger = logging.getLogger(__name__)


def join(world_size: int, device: torch.device, seconds: float) -> None:
    """Meet the other ranks, by NCCL on GPUs, by gloo on CPUs; a rank alone meets nobody.

    A rank that waits for another one longer than `seconds` fails.
    """
    backend = "nccl" if device.type == "cuda" else "gloo"
    if world_size == 1:
        store = distributed.HashStore()  # type: ignore[attr-defined]  # it is exported, if not by name
        distributed.init_process_group(backend, store=store, rank=0, world_size=1)
        return
    distributed.init_process_group(backend, timeout=timedelta(seconds=seconds))
    _logger.info("joined %d ranks by %s", world_size, backend)


def leave() -> None:
    """End the process group, if there is one."""
    if distributed.is_initialized():
        distributed.destroy_process_group()
