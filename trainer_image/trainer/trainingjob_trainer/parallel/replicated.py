"""Each rank has the whole model; DDP averages the gradients. A rank alone needs neither."""

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import torch
from torch import Tensor, distributed, nn
from torch.nn.parallel import DistributedDataParallel
from torch.nn.utils import clip_grad_norm_, get_total_norm
from torch.optim import Optimizer

from trainingjob_trainer.parallel.joining import join, leave
from trainingjob_trainer.parallel.seam import Weights


class Replicated:
    """DDP with torch's defaults."""

    joint = False

    def set_up(self, world_size: int, device: torch.device, seconds: float) -> None:
        """See `Parallel`."""
        if world_size > 1:
            join(world_size, device, seconds)

    def wrap(self, model: nn.Module, device: torch.device) -> nn.Module:
        """See `Parallel`."""
        self._model = model.to(device)
        together = distributed.is_initialized()
        self._wrapped = DistributedDataParallel(self._model) if together else self._model
        return self._wrapped

    def no_sync(self) -> AbstractContextManager[None]:
        """See `Parallel`."""
        if isinstance(self._wrapped, DistributedDataParallel):
            return self._wrapped.no_sync()
        return nullcontext()

    def gradient_norm(self) -> Tensor:
        """See `Parallel`."""
        return get_total_norm(
            [one.grad for one in self._model.parameters() if one.grad is not None]
        )

    def clip(self, longest: float) -> Tensor:
        """See `Parallel`."""
        return clip_grad_norm_(self._model.parameters(), longest)

    def model_state(self) -> Weights:
        """See `Parallel`."""
        return self._model.state_dict()

    def load_model(self, state: Weights) -> None:
        """See `Parallel`."""
        self._model.load_state_dict(state)

    def optimizer_state(self, optimizer: Optimizer) -> dict[str, Any]:
        """See `Parallel`."""
        return optimizer.state_dict()

    def load_optimizer(self, optimizer: Optimizer, state: dict[str, Any]) -> None:
        """See `Parallel`."""
        optimizer.load_state_dict(state)

    def weights(self) -> Weights:
        """See `Parallel`."""
        return self._model.state_dict() if _is_first() else {}

    def whole_weights(self, kept: Weights) -> Weights | None:
        """See `Parallel`."""
        return kept if _is_first() else None

    def whole_model(self, build: Callable[[], nn.Module]) -> nn.Module | None:  # noqa: ARG002 - it is built
        """See `Parallel`."""
        # DDP has room for all gradients.
        self._wrapped = self._model
        return self._model.cpu() if _is_first() else None

    def destroy(self) -> None:
        """See `Parallel`."""
        leave()


def _is_first() -> bool:
    return not distributed.is_initialized() or distributed.get_rank() == 0
