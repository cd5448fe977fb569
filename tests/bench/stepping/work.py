"""What both loops do in a step, and the clock that runs beside them."""

import json
import os
import time
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import torch
from torch import Tensor, nn

STEPS = 600
_WARM_UP_STEPS = 100
_WIDTH, _LAYERS, _BATCH = 768, 4, 256


class TimedBatches:
    """The same batch again and again; at the end the seconds of each step are in `$STEP_TIMES`.

    A step goes from the request for its batch to that for the next one.
    """

    def __init__(self) -> None:
        generator = torch.Generator().manual_seed(0)
        self._batch = torch.rand(_BATCH, _WIDTH, generator=generator)

    def __len__(self) -> int:
        return STEPS

    def __iter__(self) -> Iterator[Tensor]:
        asked = []
        for _ in range(STEPS):
            asked.append(time.perf_counter())
            if len(asked) == STEPS:
                # Nobody asks for what comes after the last batch; its step is not counted.
                times = [after - before for before, after in pairwise(asked)]
                Path(os.environ["STEP_TIMES"]).write_text(json.dumps(times[_WARM_UP_STEPS:]))
            yield self._batch


def build_model() -> nn.Module:
    """Build a model whose step takes about 20 ms on one core."""
    layers = (nn.Sequential(nn.Linear(_WIDTH, _WIDTH), nn.ReLU()) for _ in range(_LAYERS))
    return nn.Sequential(*layers, nn.Linear(_WIDTH, _WIDTH))
