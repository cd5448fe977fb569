"""The random generators of a training: the process's own ones and those of its loaders."""

import random
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch

from trainingjob_trainer.parts import as_arrays, as_tensors, generators_of, set_state, state_of
from trainingjob_trainer.task import Loader


def seed_everything(seed: int) -> None:
    """Seed all generators of this process."""
    random.seed(seed)
    np.random.seed(seed)
    torch.manual_seed(seed)


class Generators:
    """Those of Python, NumPy, torch on CPU and GPU, and what loaders and samplers have besides."""

    def __init__(self, device: torch.device, loaders: Iterable[Loader] = ()) -> None:
        self._device = device
        self._of_loaders = {
            f"{number}{place}": generator
            for number, loader in enumerate(loaders)
            for place, generator in generators_of(loader)
        }
        self._epoch: dict[str, Any] | None = None
        self._held: dict[str, Any] | None = None

    def begin_epoch(self) -> None:
        """Remember how they are as an epoch begins: what is loaded again comes in that order."""
        self._epoch = self._capture()

    @contextmanager
    def held(self) -> Iterator[None]:
        """Let a checkpoint have the generators of now: what follows would be done again."""
        self._held = self._capture()
        yield
        self._held = None

    @contextmanager
    def undisturbed(self) -> Iterator[None]:
        """Have them be afterwards as they are now."""
        now = self._capture()
        yield
        self._restore(now)

    @contextmanager
    def rewound(self) -> Iterator[None]:
        """Have them be as they were when the epoch began, if that is known."""
        if self._epoch is None:
            yield
            return
        with self.undisturbed():
            self._restore(self._epoch)
            yield

    def state_dict(self) -> dict[str, Any]:
        """Return what a checkpoint has to hold."""
        return {"now": self._held or self._capture(), "epoch": self._epoch}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Put all generators into a state that was captured."""
        self._epoch = state_dict["epoch"]
        self._restore(state_dict["now"])

    def _capture(self) -> dict[str, Any]:
        """Return the states of all, made of numbers and tensors only."""
        state = {
            "python": random.getstate(),
            "numpy": as_tensors(np.random.get_state(legacy=False)),
            "torch": torch.get_rng_state(),
            "loaders": {place: state_of(one) for place, one in self._of_loaders.items()},
        }
        if self._device.type == "cuda":
            state["cuda"] = torch.cuda.get_rng_state(self._device)
        return state

    def _restore(self, state: dict[str, Any]) -> None:
        """Put them into a state, which may be that of another kind of device."""
        random.setstate(state["python"])
        np.random.set_state(as_arrays(state["numpy"]))
        torch.set_rng_state(state["torch"])
        for place, generator in self._of_loaders.items():
            if place in state["loaders"]:
                set_state(generator, state["loaders"][place])
        if self._device.type == "cuda" and "cuda" in state:
            torch.cuda.set_rng_state(state["cuda"], self._device)
