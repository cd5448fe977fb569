"""What a loader consists of, and the random generators in it."""

import random
from collections.abc import Iterator
from typing import Any

import numpy as np
import torch

_PARTS = ("batch_sampler", "sampler", "dataset")
_DEEPEST = 8

Generator = torch.Generator | np.random.Generator | np.random.RandomState | random.Random


def parts_of(loader: object, place: str = "") -> Iterator[tuple[str, object]]:
    """Return a loader, and what it gets its samples from, each with its place (`.sampler`)."""
    yield place, loader
    for name in _PARTS:
        part = getattr(loader, name, None)
        if part is not None and part is not loader and place.count(".") < _DEEPEST:
            yield from parts_of(part, f"{place}.{name}")


def generators_of(loader: object) -> Iterator[tuple[str, Generator]]:
    """Return the generators of a loader, its samplers and its data set, with their places."""
    seen = set()
    for place, part in parts_of(loader):
        for name, value in getattr(part, "__dict__", {}).items():
            if isinstance(value, Generator) and id(value) not in seen:
                seen.add(id(value))
                yield f"{place}.{name}", value


def state_of(generator: Generator) -> Any:
    """Return the state of a generator, made of numbers and tensors only."""
    match generator:
        case torch.Generator():
            return generator.get_state()
        case random.Random():
            return generator.getstate()
        case np.random.RandomState():
            return as_tensors(generator.get_state(legacy=False))
        case _:
            return as_tensors(generator.bit_generator.state)


def set_state(generator: Generator, state: Any) -> None:
    """Put a generator into a state that it had."""
    match generator:
        case torch.Generator():
            generator.set_state(state)
        case random.Random():
            generator.setstate(state)
        case np.random.RandomState():
            generator.set_state(as_arrays(state))
        case _:
            generator.bit_generator.state = as_arrays(state)


def as_tensors(state: Any) -> Any:
    """Put tensors in the place of arrays, which a checkpoint that is read as data cannot hold."""
    match state:
        case dict():
            return {key: as_tensors(value) for key, value in state.items()}
        case np.ndarray():
            return torch.from_numpy(state.copy())
        case _:
            return state


def as_arrays(state: Any) -> Any:
    """Put the arrays back."""
    match state:
        case dict():
            return {key: as_arrays(value) for key, value in state.items()}
        case torch.Tensor():
            return state.numpy()
        case _:
            return state
