"""One optimizer step: the model, its optimizer and all that works on gradients."""

import math
import os
import shutil
from collections.abc import Callable, Iterable
from contextlib import nullcontext
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.nn.utils import clip_grad_norm_
from torch.optim.lr_scheduler import LambdaLR

from trainingjob_trainer.batches import place
from trainingjob_trainer.distributed import parallel, without_averaging
from trainingjob_trainer.options import OptionError, RunOptions, Schedule
from trainingjob_trainer.progress import Means
from trainingjob_trainer.task import Batch, Task

_TYPES = {"bf16": torch.bfloat16, "fp16": torch.float16}


class Stepper:
    """Owns what a step changes. `total_steps` are those of the whole training."""

    def __init__(
        self, task: Task, options: RunOptions, device: torch.device, total_steps: int
    ) -> None:
        self.model = task.build_model().to(device)
        self._task = task
        self._device = device
        self._clip_norm = options.clip_norm
        self._type = _TYPES.get(options.precision)
        self._parallel = parallel(self.model)
        if options.compile:
            check_compiler(device)
        # compile() is lazy: the compiler runs in the first step.
        compiled = torch.compile(self._parallel) if options.compile else self._parallel
        self._forward = cast("nn.Module", compiled)
        self._optimizer = task.build_optimizer(self.model, options.learning_rate)
        self._scheduler = task.build_scheduler(self._optimizer, total_steps) or LambdaLR(
            self._optimizer,
            learning_rate_factor(options.schedule, options.warmup_steps, total_steps),
        )
        # Only fp16 has gradients so small that they vanish.
        self._scaler = torch.amp.GradScaler(device.type, enabled=options.precision == "fp16")

    @property
    def learning_rate(self) -> float:
        """Of the next step, in the first group of parameters."""
        return float(self._optimizer.param_groups[0]["lr"])

    def step(self, batches: Iterable[Batch], count: int) -> Means:
        """Train on `count` batches, as on one large batch; return the means of their metrics."""
        self._parallel.train()
        self._optimizer.zero_grad(set_to_none=True)
        means = Means()
        for number, unplaced in enumerate(batches, start=1):
            batch = place(unplaced, self._device)
            last = number == count
            with nullcontext() if last else without_averaging(self._parallel):
                values, loss = self._evaluate(self._forward, batch)
                self._scaler.scale(loss / count).backward()  # type: ignore[no-untyped-call]  # torch has no annotation here
            means.add(values, self._task.count(batch))
        self._update()
        return means

    def evaluate(self, batch: Batch) -> Means:
        """Return loss and metrics of a batch. The caller chooses the mode and switches grad off."""
        placed, means = place(batch, self._device), Means()
        means.add(self._evaluate(self.model, placed)[0], self._task.count(placed))
        return means

    def state(self) -> dict[str, Any]:
        """Return what a checkpoint has to hold."""
        return {
            "model": self.model.state_dict(),
            "optimizer": self._optimizer.state_dict(),
            "scheduler": self._scheduler.state_dict(),
            "scaler": self._scaler.state_dict(),
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Go on from a checkpoint."""
        self.model.load_state_dict(state["model"])
        self._optimizer.load_state_dict(state["optimizer"])
        self._scheduler.load_state_dict(state["scheduler"])
        if state["scaler"]:
            self._scaler.load_state_dict(state["scaler"])

    def _evaluate(self, model: nn.Module, batch: Batch) -> tuple[dict[str, Tensor], Tensor]:
        with torch.autocast(self._device.type, self._type, enabled=self._type is not None):
            output = self._task.forward(model, batch)
            loss = self._task.loss(output, batch)
        with torch.no_grad():
            return {"loss": loss, **self._task.metrics(output, batch)}, loss

    def _update(self) -> None:
        if self._clip_norm is not None:
            self._scaler.unscale_(self._optimizer)
            clip_grad_norm_(self.model.parameters(), self._clip_norm)
        scale = self._scaler.get_scale()
        self._scaler.step(self._optimizer)
        self._scaler.update()
        # The scaler left out a step whose gradients were infinite, and lowered its scale.
        if self._scaler.get_scale() >= scale:
            self._scheduler.step()


def check_compiler(device: torch.device) -> None:
    """Look for the compiler that torch.compile runs on a machine with such a device.

    Torch says so itself only in the first step, in a traceback of its compiler's parts.

    Raises:
        OptionError: there is none; says what to do.
    """
    # Triton makes a small C library for each kernel on a GPU; on the CPU the kernels are C++.
    variable, names = ("CC", ("gcc", "clang")) if device.type == "cuda" else ("CXX", ("g++",))
    named = os.environ.get(variable)
    wanted = (named,) if named else names
    if not any(shutil.which(name) for name in wanted):
        raise OptionError(
            f"--compile: torch.compile needs a compiler, and there is no {' or '.join(wanted)} on "
            f"the PATH. Leave --compile out, or train in an image with {names[0]}: "
            "FROM this one, then `USER 0` and `RUN apt-get update && apt-get install --yes g++`"
        )


def learning_rate_factor(
    schedule: Schedule, warmup_steps: int, total_steps: int
) -> Callable[[int], float]:
    """Return the share of the learning rate, 0…1, as a function of the steps done."""

    def factor(step: int) -> float:
        if step < warmup_steps:
            return (step + 1) / (warmup_steps + 1)
        done = min(1.0, (step - warmup_steps) / max(1, total_steps - warmup_steps))
        match schedule:
            case "constant":
                return 1.0
            case "linear":
                return 1.0 - done
            case "cosine":
                return (1.0 + math.cos(math.pi * done)) / 2

    return factor
