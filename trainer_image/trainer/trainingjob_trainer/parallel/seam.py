"""What a kind of parallelism does for the loop, which knows no more of it than this."""

from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any, Protocol

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from trainingjob_trainer.options import Kind

Weights = dict[str, Any]
"""What `state_dict` of a model gives."""


class Parallel(Protocol):
    """One training, from `set_up` to `destroy`. All ranks call all of it, in the same order."""

    joint: bool
    """Whether a forward pass needs all ranks at the same time."""

    def set_up(self, world_size: int, device: torch.device, seconds: float) -> None:
        """Join the other ranks, if there are any: NCCL on GPUs, gloo on CPUs.

        After `seconds` a rank no longer waits for another one, which is an error.
        """
        ...

    def wrap(self, model: nn.Module, device: torch.device) -> nn.Module:
        """Put the model on its device; return what trains it.

        The model itself, which may be changed, is the one for optimizer and evaluation.
        """
        ...

    def no_sync(self) -> AbstractContextManager[None]:
        """Only add up gradients on this rank; a later backward pass averages the sum."""
        ...

    def gradient_norm(self) -> Tensor:
        """Return the length () of the gradient of all parameters, on all ranks."""
        ...

    def clip(self, longest: float) -> Tensor:
        """Shorten the gradient to `longest`; return the length () that it had."""
        ...

    def model_state(self) -> Weights:
        """Return the state of the model: of tensors that are sharded this rank's shards.

        A checkpoint is read into these same tensors, so that no rank reads more than its shards.
        """
        ...

    def load_model(self, state: Weights) -> None:
        """Go on from a state, which was read into the tensors of `model_state`."""
        ...

    def optimizer_state(self, optimizer: Optimizer) -> dict[str, Any]:
        """Return the state of the optimizer, as that of the model."""
        ...

    def load_optimizer(self, optimizer: Optimizer, state: dict[str, Any]) -> None:
        """Go on from a state, which was read into the tensors of `optimizer_state`."""
        ...

    def weights(self) -> Weights:
        """Return what this rank has to keep of the model; nothing where rank 0 has it all."""
        ...

    def whole_weights(self, kept: Weights) -> Weights | None:
        """Return the whole of what the ranks kept, on rank 0. The model may become that."""
        ...

    def whole_model(self, build: Callable[[], nn.Module]) -> nn.Module | None:
        """Return the model on the CPU, on rank 0, once training is over."""
        ...

    def destroy(self) -> None:
        """Leave the other ranks."""
        ...


def parallel_by(kind: Kind) -> Parallel:
    """Return the parallelism of that name."""
    if kind == "fsdp2":
        # DTensor takes long to import: only who shards waits for it.
        from trainingjob_trainer.parallel.sharded import Sharded

        return Sharded()
    from trainingjob_trainer.parallel.replicated import Replicated

    return Replicated()
