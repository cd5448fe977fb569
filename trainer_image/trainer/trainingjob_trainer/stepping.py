"""One optimizer step: the model, its optimizer and all that works on gradients."""

import logging
import math
import os
import shutil
from collections.abc import Callable, Iterable
from contextlib import nullcontext
from dataclasses import dataclass
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LambdaLR

from trainingjob_trainer.batches import place
from trainingjob_trainer.distributed import Ranks
from trainingjob_trainer.hyperparameters import Hyperparameters
from trainingjob_trainer.options import OptionError, RunOptions, Schedule
from trainingjob_trainer.parallel import Parallel
from trainingjob_trainer.progress import Means
from trainingjob_trainer.state import Stateful
from trainingjob_trainer.task import Batch, Task

_logger = logging.getLogger(__name__)

_TYPES = {"bf16": torch.bfloat16, "fp16": torch.float16}


class Stepper:
    """Owns what a step changes. `total_steps` are those of the whole training."""

    def __init__(
        self,
        task: Task,
        options: RunOptions,
        device: torch.device,
        total_steps: int,
        parallel: Parallel,
        ranks: Ranks,
    ) -> None:
        self.model = task.build_model()
        self._modes = TrainingModes(self.model)
        self._ranks = ranks
        self._batch_size = options.batch_size
        self._task = task
        self._device = device
        self._clip_norm = options.clip_norm
        self._type = _TYPES.get(options.precision)
        self._parallel = parallel
        wrapped = parallel.wrap(self.model, device)
        if options.compile:
            check_compiler(device)
        # compile() is lazy: the compiler runs in the first step.
        compiled = torch.compile(wrapped) if options.compile else wrapped
        self._forward = cast("nn.Module", compiled)
        self._optimizer = task.build_optimizer(self.model, options.learning_rate)
        self._hyperparameters = Hyperparameters(self._optimizer)
        self._scheduler = task.build_scheduler(self._optimizer, total_steps) or LambdaLR(
            self._optimizer,
            learning_rate_factor(options.schedule, options.warmup_steps, total_steps),
        )
        self._hyperparameters.take(self._scheduler)
        # Only fp16 has gradients so small that they vanish.
        self._scaler = torch.amp.GradScaler(device.type, enabled=options.precision == "fp16")
        # On the device: to look at it in each step would wait for the step.
        self._not_finite = torch.zeros((), dtype=torch.int64, device=device)
        self._gradient_norm: Tensor | None = None
        self._tokens = 0
        self.samples_of_all = 0
        """Of all ranks in the last step."""

    @property
    def learning_rate(self) -> float:
        """Of the next step, in the first group of parameters."""
        return float(self._optimizer.param_groups[0]["lr"])

    @property
    def gradient_norm(self) -> float | None:
        """Length of the gradient in the last step, before it was clipped; waits for the device."""
        return None if self._gradient_norm is None else float(self._gradient_norm)

    def take_not_finite(self) -> int:
        """Return how many batches since the last call had no finite loss; waits for the device."""
        count = int(self._not_finite)
        self._not_finite.zero_()
        return count

    def take_tokens(self) -> int:
        """Return how many tokens this rank has seen since the last call."""
        tokens, self._tokens = self._tokens, 0
        return tokens

    def step(self, batches: Iterable[Batch], count: int, *, measure: bool = False) -> Means:
        """Train on `count` batches of each rank, as on one large batch; return this rank's means.

        Each sample of all ranks has the same weight, however many a batch has. With `measure` the
        length of the gradient is known afterwards. All ranks measure, or none.

        Raises:
            ValueError: there are fewer batches.
        """
        self._modes.begin_training()
        self._optimizer.zero_grad(set_to_none=True)
        means, done = Means(), 0
        for done, unplaced in enumerate(batches, start=1):
            batch = place(unplaced, self._device)
            size, last = self._task.count(batch), done == count
            asked = self._ranks.ask_sum(means.samples + size) if last else None
            with nullcontext() if last else self._parallel.no_sync():
                values, loss, _ = self._evaluate(self._forward, batch)
                self._scaler.scale(loss * self._weight(size, count)).backward()  # type: ignore[no-untyped-call]  # torch has no annotation here
            means.add(values, size)
            self._tokens += self._task.tokens(batch)
            self._not_finite += ~loss.detach().isfinite()
        if done < count or asked is None:
            raise ValueError(
                "the training loader gave fewer batches than its length or --steps-per-epoch"
            )
        self.samples_of_all = asked()
        self._correct_gradient(count)
        self._update(measure=measure)
        return means

    def _weight(self, size: int, count: int) -> float:
        """Return the weight of a batch in the gradient as it would be if all batches were full.

        How many samples the other ranks have is known only after the backward pass.
        """
        return 1.0 if self._alone(count) else size / (self._batch_size * count)

    def _correct_gradient(self, count: int) -> None:
        full = self._batch_size * count * self._ranks.world_size
        if self._alone(count) or self.samples_of_all in (0, full):
            return
        for parameter in self.model.parameters():
            if parameter.grad is not None:
                parameter.grad.mul_(full / self.samples_of_all)

    def _alone(self, count: int) -> bool:
        """Whether a step has one batch only: the mean over it is that of the step."""
        return count * self._ranks.world_size == 1

    def evaluate(self, batch: Batch, measure: Callable[[Any, Batch], None] | None = None) -> Means:
        """Return loss and metrics of a batch. The caller chooses the mode and switches grad off.

        `measure` gets what the model said, and the batch on its device.
        """
        placed, means = place(batch, self._device), Means()
        values, _, output = self._evaluate(self.model, placed)
        means.add(values, self._task.count(placed))
        if measure is not None:
            measure(output, placed)
        return means

    def free(self) -> None:
        """Let go of all that only a next step needs: gradients and the optimizer's state."""
        self._optimizer.zero_grad(set_to_none=True)
        self._optimizer.state.clear()
        self._forward = self.model

    @property
    def parts(self) -> dict[str, Stateful]:
        """What of this a checkpoint has to hold."""
        return {
            "model": _ModelPart(self._parallel),
            "optimizer": _OptimizerPart(self._parallel, self._optimizer),
            "scheduler": self._scheduler,
            "hyperparameters": self._hyperparameters,
            "scaler": self._scaler,
        }

    def _evaluate(self, model: nn.Module, batch: Batch) -> tuple[dict[str, Tensor], Tensor, Any]:
        """Return the values of a batch, its loss among them, the loss to train by, the output."""
        with torch.autocast(self._device.type, self._type, enabled=self._type is not None):
            output = self._task.forward(model, batch)
            loss = self._task.loss(output, batch)
        with torch.no_grad():
            return {"loss": loss, **self._task.metrics(output, batch)}, loss, output

    def _update(self, *, measure: bool) -> None:
        self._gradient_norm = None
        if measure or self._clip_norm is not None:
            self._scaler.unscale_(self._optimizer)
        if self._clip_norm is not None:
            self._gradient_norm = self._parallel.clip(self._clip_norm)
        elif measure:
            self._gradient_norm = self._parallel.gradient_norm()
        scale = self._scaler.get_scale()
        self._scaler.step(self._optimizer)
        self._scaler.update()
        # The scaler left out a step whose gradients were infinite, and lowered its scale.
        if self._scaler.get_scale() >= scale:
            self._scheduler.step()


class TrainingModes:
    """The modules that are to train, and those that a task has frozen.

    What the task leaves in evaluation mode stays in it, such as the BatchNorms of a backbone. A
    model that is as a whole in evaluation mode, as those from a hub, has nothing frozen.
    """

    def __init__(self, model: nn.Module) -> None:
        self._model = model
        names = [name for name, part in model.named_modules() if not part.training]
        self._frozen = [model.get_submodule(name) for name in names] if model.training else []
        if self._frozen:
            _logger.info("stay in evaluation mode, as the task built them: %s", ", ".join(names))

    def begin_training(self) -> None:
        """Put the modules into their modes."""
        self._model.train()
        for part in self._frozen:
            part.training = False


@dataclass(frozen=True, slots=True)
class _ModelPart:
    """The model as a part of a checkpoint."""

    parallel: Parallel

    def state_dict(self) -> dict[str, Any]:
        return self.parallel.model_state()

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self.parallel.load_model(state_dict)


@dataclass(frozen=True, slots=True)
class _OptimizerPart:
    """The optimizer as a part of a checkpoint."""

    parallel: Parallel
    optimizer: Optimizer

    def state_dict(self) -> dict[str, Any]:
        return self.parallel.optimizer_state(self.optimizer)

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self.parallel.load_optimizer(self.optimizer, state_dict)


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
