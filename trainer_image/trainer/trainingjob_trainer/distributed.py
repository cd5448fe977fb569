"""The processes of one training: device, threads, what all ranks agree on."""

import math
import os
from collections.abc import Callable, Mapping, Sequence
from datetime import timedelta
from typing import Any, TypeVar, cast

import torch
from torch import Tensor, distributed, nn
from trainingjob_agent.contract import Contract
from trainingjob_agent.monitor.cgroup import Cgroup

_T = TypeVar("_T")


def choose_device(contract: Contract) -> torch.device:
    """Return the GPU of this local rank, or the CPU where there is none."""
    if torch.cuda.is_available():
        device = torch.device("cuda", contract.local_rank % torch.cuda.device_count())
        torch.cuda.set_device(device)
        return device
    return torch.device("cpu")


def limit_threads(contract: Contract) -> int:
    """Give torch the cores of this process's share of the pod's CPU limit, but for one.

    Without a limit torch starts a thread for each core of the host, and the kernel throttles them
    all. One core is left to the monitor, the sender and the loaders: threads of one operation wait
    for each other, so that a single busy core makes every step several times as long.
    """
    allowed = len(os.sched_getaffinity(0))
    cores = min(Cgroup.of_this_process().cpu_limit_cores() or allowed, allowed)
    threads = max(1, math.floor(cores / contract.local_world_size) - 1)
    torch.set_num_threads(threads)
    return threads


def side_group(timeout_seconds: float | None = None) -> distributed.ProcessGroup | None:
    """Return a group of all ranks on the CPU, beside that of the gradients; None for one alone.

    Two threads must not share a group: the ranks would mix up what they ask each other. All ranks
    make their groups in the same order.
    """
    if not distributed.is_initialized():
        return None
    # Every rank is a member, so it is no number that stands for none.
    timeout = None if timeout_seconds is None else timedelta(seconds=timeout_seconds)
    return cast("distributed.ProcessGroup", distributed.new_group(backend="gloo", timeout=timeout))


class Ranks:
    """Small questions that all ranks answer together, on the CPU, beside the gradients."""

    def __init__(self, timeout_seconds: float | None = None) -> None:
        """Prepare; without a time-out it is that of gloo."""
        self._group: Any = side_group(timeout_seconds)
        self._asked: tuple[distributed.Work, Tensor] | None = None

    @property
    def world_size(self) -> int:
        """How many ranks there are."""
        return 1 if self._group is None else distributed.get_world_size(self._group)

    def ask_sum(self, value: int) -> Callable[[], int]:
        """Add up a value of each rank, while the caller goes on; return what waits for the sum."""
        if self._group is None:
            return lambda: value
        total = torch.tensor(value)
        work = distributed.all_reduce(total, group=self._group, async_op=True)

        def wait() -> int:
            work.wait()
            return int(total)

        return wait

    def any(self, *flags: bool) -> list[bool]:
        """Return which flags at least one rank raises."""
        return [bool(count) for count in self._reduced(flags, distributed.ReduceOp.MAX)]

    def of_all(self, value: _T) -> list[_T]:
        """Return the value of each rank."""
        if self._group is None:
            return [value]
        values: list[Any] = [None] * distributed.get_world_size(self._group)
        distributed.all_gather_object(values, value, group=self._group)
        return values

    def of_first(self, value: _T) -> _T:
        """Return the value of rank 0."""
        if self._group is None:
            return value
        message: list[Any] = [value]
        distributed.broadcast_object_list(message, src=0, group=self._group)
        return cast("_T", message[0])

    def any_before(self, *flags: bool) -> list[bool]:
        """Return which flags at least one rank raised in the call before; ask for the next one.

        All ranks get the same answer in the same call. The question travels while the step between
        two calls runs, so nobody waits for it; a rank alone gets its answer at once.
        """
        if self._group is None:
            return list(flags)
        answer = self.settle() or [False] * len(flags)
        asked = torch.tensor([int(flag) for flag in flags])
        work = distributed.all_reduce(
            asked, distributed.ReduceOp.MAX, group=self._group, async_op=True
        )
        self._asked = (work, asked)
        return answer

    def settle(self) -> list[bool] | None:
        """Wait for the question under way, if there is one."""
        if self._asked is None:
            return None
        work, answer = self._asked
        self._asked = None
        work.wait()
        return [bool(count) for count in answer.tolist()]

    def _reduced(self, values: Sequence[int], how: Any) -> list[int]:
        if self._group is None:
            return list(values)
        total = torch.tensor([int(value) for value in values])
        distributed.all_reduce(total, how, group=self._group)
        return [int(value) for value in total.tolist()]


def share_buffers(model: nn.Module) -> None:
    """Give all ranks the buffers of rank 0, as DDP does before each step of training."""
    if not distributed.is_initialized():
        return
    for buffer in model.buffers():
        whole = buffer.contiguous()
        distributed.broadcast(whole, src=0)
        if whole is not buffer:
            buffer.copy_(whole)


def means_over_ranks(
    sums: Mapping[str, float], samples: int, ranks: Ranks, device: torch.device
) -> dict[str, float]:
    """Return the means of named sums over the samples of all ranks; some ranks may have none.

    Raises:
        ValueError: what the ranks have are not sums of the same names.
    """
    named = [names for names in ranks.of_all(list(sums)) if names]
    names = named[0] if named else []
    for others in named:
        if set(others) != set(names):
            raise ValueError(f"metrics differ between the ranks: {names} and {others}")
    total, *totals = _sum_over_ranks([samples, *(sums.get(name, 0.0) for name in names)], device)
    return {name: value / total for name, value in zip(names, totals, strict=True)} if total else {}


def _sum_over_ranks(values: Sequence[float], device: torch.device) -> list[float]:
    """Add up `values` over all ranks, element by element."""
    if not distributed.is_initialized():
        return list(values)
    total = torch.tensor(values, dtype=torch.float64, device=device)
    distributed.all_reduce(total)
    return [float(value) for value in total.tolist()]
