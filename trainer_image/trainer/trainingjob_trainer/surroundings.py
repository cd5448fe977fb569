"""What surrounds the training loop: its process, what it reports to, and how it is stopped."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import torch


class TrainingStoppedError(Exception):
    """Asked to stop before the end."""


@dataclass(frozen=True, slots=True)
class Hooks:
    """What the loop reports to, and asks, its surroundings. None of these waits for anything."""

    log_metrics: Callable[[Mapping[str, float], int], None]
    samples_drawn: Callable[[Path, int], None]
    trace_written: Callable[[Path], None]
    stop_requested: Callable[[], bool]
    alive: Callable[[], None]


@dataclass(frozen=True, slots=True)
class Place:
    """Which process of the training this is."""

    device: torch.device
    rank: int = 0
    world_size: int = 1
