"""Each rank has a shard of each parameter, its gradient and its optimizer state: FSDP2."""

from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, cast

import torch
from torch import Tensor, distributed, nn
from torch.distributed.checkpoint.state_dict import (
    StateDictOptions,
    get_model_state_dict,
    get_optimizer_state_dict,
    set_model_state_dict,
    set_optimizer_state_dict,
)
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import FSDPModule, fully_shard
from torch.distributed.tensor import DTensor
from torch.nn.utils import clip_grad_norm_, get_total_norm
from torch.optim import Optimizer

from trainingjob_trainer.checkpoint import describe_shard
from trainingjob_trainer.parallel.host_memory import return_freed_memory
from trainingjob_trainer.parallel.joining import join, leave
from trainingjob_trainer.parallel.seam import Weights

_WHOLE = StateDictOptions(full_state_dict=True, cpu_offload=True)


class Sharded:
    """`fully_shard` over all ranks, a block of the model at a time."""

    joint = True

    def set_up(self, world_size: int, device: torch.device, seconds: float) -> None:
        """See `Parallel`."""
        if device.type == "cpu":
            return_freed_memory()
        join(world_size, device, seconds)
        self._mesh = init_device_mesh(device.type, (world_size,))

    def wrap(self, model: nn.Module, device: torch.device) -> nn.Module:
        """See `Parallel`. All ranks have built the same model."""
        for block in [*blocks_of(model), model]:
            fully_shard(block, mesh=self._mesh)
            if device.type == "cpu":
                # gloo knows no average.
                cast("FSDPModule", block).set_force_sum_reduction_for_comms(True)
        self._model = model
        return model

    @contextmanager
    def no_sync(self) -> Iterator[None]:
        """See `Parallel`."""
        sharded = cast("FSDPModule", self._model)
        sharded.set_requires_gradient_sync(False)
        try:
            yield
        finally:
            sharded.set_requires_gradient_sync(True)

    def gradient_norm(self) -> Tensor:
        """See `Parallel`."""
        return _whole(
            get_total_norm([one.grad for one in self._model.parameters() if one.grad is not None])
        )

    def clip(self, longest: float) -> Tensor:
        """See `Parallel`."""
        return _whole(clip_grad_norm_(self._model.parameters(), longest))

    def model_state(self) -> Weights:
        """See `Parallel`."""
        return cast("Weights", _shards(get_model_state_dict(self._model)))

    def load_model(self, state: Weights) -> None:
        """See `Parallel`."""
        set_model_state_dict(self._model, _with_sharded(state, get_model_state_dict(self._model)))

    def optimizer_state(self, optimizer: Optimizer) -> dict[str, Any]:
        """See `Parallel`. An optimizer without a state gets one by a step that changes nothing."""
        return cast("dict[str, Any]", _shards(self._optimizer_state(optimizer)))

    def load_optimizer(self, optimizer: Optimizer, state: dict[str, Any]) -> None:
        """See `Parallel`."""
        loaded = _with_sharded(state, self._optimizer_state(optimizer))
        # Not strict: a parameter that never had a gradient has no state.
        set_optimizer_state_dict(
            self._model, optimizer, loaded, options=StateDictOptions(strict=False)
        )

    def weights(self) -> Weights:
        """See `Parallel`."""
        return self.model_state()

    def whole_weights(self, kept: Weights) -> Weights | None:
        """See `Parallel`."""
        with torch.no_grad():
            for name, mine in self.weights().items():
                if isinstance(mine, Tensor):
                    mine.copy_(kept[name])
        whole = get_model_state_dict(self._model, options=_WHOLE)
        return whole if distributed.get_rank() == 0 else None

    def whole_model(self, build: Callable[[], nn.Module]) -> nn.Module | None:
        """See `Parallel`. A tensor at a time, so that no rank has more than one model."""
        model = build() if distributed.get_rank() == 0 else None
        places = model.state_dict() if model else {}
        for name, mine in get_model_state_dict(self._model).items():
            whole = mine.full_tensor() if isinstance(mine, DTensor) else mine
            if model is None:
                continue
            if isinstance(whole, Tensor):
                places[name].copy_(whole)
            else:
                model.load_state_dict({name: whole}, strict=False)
        return model

    def destroy(self) -> None:
        """See `Parallel`."""
        leave()

    def _optimizer_state(self, optimizer: Optimizer) -> dict[str, Any]:
        # An evaluation leaves the parameters whole that belong to no block.
        cast("FSDPModule", self._model).reshard()
        return cast("dict[str, Any]", get_optimizer_state_dict(self._model, optimizer))


def blocks_of(model: nn.Module) -> list[nn.Module]:
    """Return the parts that are gathered one at a time: the entries of lists and sequences.

    A block that shares a parameter with the rest of the model stays with the rest.
    """
    uses = _uses(model)
    return [block for block in _entries(model) if _uses(block).items() <= uses.items()]


def _entries(module: nn.Module) -> Iterator[nn.Module]:
    listed = isinstance(module, (nn.ModuleList, nn.Sequential))
    for child in module.children():
        # A list is not called, so that it cannot be gathered by a call.
        if not listed or isinstance(child, nn.ModuleList):
            yield from _entries(child)
        elif any(True for _ in child.parameters()):
            yield child


def _uses(module: nn.Module) -> Counter[int]:
    """Count how often each parameter is used."""
    return Counter(id(one) for _, one in module.named_parameters(remove_duplicate=False))


def _shards(state: object) -> object:
    """Put in the place of each DTensor what of it is on this rank."""
    match state:
        case DTensor():
            return _shard(state)
        case dict():
            return {key: _shards(value) for key, value in state.items()}
        case list() | tuple():
            return type(state)(_shards(value) for value in state)
        case _:
            return state


def _shard(tensor: DTensor) -> Tensor:
    [chunk] = tensor.__create_chunk_list__()  # type: ignore[no-untyped-call]  # torch's
    local: Tensor = tensor.to_local()
    return describe_shard(local.detach(), tuple(tensor.shape), tuple(chunk.offsets))


def _with_sharded(state: Any, now: Any) -> Any:
    """Put the DTensors of `now`, whose shards were read, back into a state."""
    match state:
        case Tensor() if isinstance(now, DTensor):
            return now
        case dict():
            known = now if isinstance(now, dict) else {}
            return {key: _with_sharded(value, known.get(key)) for key, value in state.items()}
        case _:
            return state


def _whole(norm: Tensor) -> Tensor:
    return norm.full_tensor() if isinstance(norm, DTensor) else norm
