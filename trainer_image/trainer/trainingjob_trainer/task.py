"""What a user writes: the model, its data, its loss and its metrics."""

import importlib
import inspect
from abc import abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sized
from dataclasses import dataclass
from typing import NotRequired, Protocol, TypedDict, cast, runtime_checkable

from torch import Tensor, nn
from torch.optim import AdamW, Optimizer
from torch.optim.lr_scheduler import LRScheduler

_MEMBERS = (
    *("name", "build_model", "build_loaders", "loss"),
    *("metrics", "build_optimizer", "build_scheduler"),
)
BUILT_IN_TASKS = {
    "mnist": "trainingjob_trainer.tasks.mnist:MnistTask",
    "mnist-denoise": "trainingjob_trainer.tasks.denoise:DenoiseTask",
}


class TaskNotFoundError(ValueError):
    """No task of that name, or what it names is not a task."""


class Batch(TypedDict):
    """One batch: `image` (N, C, H, W), floating, and what the model is to say of it.

    `label` (N,), integral class indices, or `target` (N, C, H, W), another image.
    """

    image: Tensor
    label: NotRequired[Tensor]
    target: NotRequired[Tensor]


class Loader(Sized, Protocol):
    """A torch `DataLoader`, or anything else that has a length and gives batches."""

    def __iter__(self) -> Iterator[Batch]:
        """Start one pass."""
        ...


@dataclass(frozen=True, slots=True)
class DataRequest:
    """How to load: batch size of one process, its share of the data, seed of the shuffle."""

    batch_size: int
    rank: int
    world_size: int
    seed: int


@dataclass(frozen=True, slots=True)
class Loaders:
    """Data of one rank: training batches, and validation batches which no other rank repeats.

    All ranks have the same number of training batches; of the others a rank may have none.
    """

    train: Loader
    validation: Loader


@runtime_checkable
class Task(Protocol):
    """A supervised image task. Constructed once in every process, with its settings.

    The settings are the arguments of its constructor: they come from flags, environment and file.

    A class that inherits from this one gets the defaults; one that does not has all the methods.
    """

    name: str

    @abstractmethod
    def build_model(self) -> nn.Module:
        """Build the model on the CPU, from (N, C, H, W) images."""
        ...

    @abstractmethod
    def build_loaders(self, request: DataRequest) -> Loaders:
        """Load the data of this rank."""
        ...

    @abstractmethod
    def loss(self, output: Tensor, batch: Batch) -> Tensor:
        """Return the scalar loss, a mean over the batch."""
        ...

    def metrics(self, output: Tensor, batch: Batch) -> dict[str, Tensor]:  # noqa: ARG002 - the default
        """Return scalars such as `accuracy`, each a mean over the batch; by default none."""
        return {}

    def build_optimizer(self, model: nn.Module, learning_rate: float) -> Optimizer:
        """Build the optimizer of the model's parameters; by default AdamW."""
        return AdamW(model.parameters(), lr=learning_rate)

    def build_scheduler(self, optimizer: Optimizer, total_steps: int) -> LRScheduler | None:  # noqa: ARG002 - the default
        """Build what changes the learning rate after each step; by default the options say it."""
        return None


def find_task(name: str) -> Callable[..., object]:
    """Return what makes the task called `name`: a built-in one or `package.module:Class`.

    Raises:
        TaskNotFoundError: the name cannot be resolved.
        ImportError: the module itself fails to import.
    """
    path = BUILT_IN_TASKS.get(name, name)
    module_name, separator, class_name = path.partition(":")
    if not separator:
        known = ", ".join(sorted(BUILT_IN_TASKS))
        raise TaskNotFoundError(f"no task {name!r}: use one of {known}, or package.module:Class")
    factory = getattr(importlib.import_module(module_name), class_name, None)
    if not callable(factory):
        raise TaskNotFoundError(f"module {module_name!r} has no class {class_name!r}")
    return cast("Callable[..., object]", factory)


def load_task(name: str, settings: Mapping[str, object] | None = None) -> Task:
    """Return the task called `name`, made with `settings`.

    Raises:
        TaskNotFoundError: the name cannot be resolved, or the class does not follow `Task`.
        ImportError: the module itself fails to import.
    """
    factory, path = find_task(name), BUILT_IN_TASKS.get(name, name)
    try:
        task = factory(**(settings or {}))
    except TypeError as error:
        if not inspect.isabstract(factory):
            raise
        raise TaskNotFoundError(f"{path} is not a task: {error}") from error
    if not isinstance(task, Task):
        missing = ", ".join(member for member in _MEMBERS if not hasattr(task, member))
        raise TaskNotFoundError(f"{path} is not a task: it lacks {missing}")
    return task
