"""What a user writes: the model, its data, its loss and its metrics."""

import hashlib
import importlib
import inspect
from abc import abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, cast, runtime_checkable

import torch
from torch import Tensor, nn
from torch.optim import AdamW, Optimizer
from torch.optim.lr_scheduler import LRScheduler

_MEMBERS = (
    *("name", "build_model", "build_loaders", "forward", "loss", "count"),
    *("metrics", "build_metrics", "measure", "build_optimizer", "build_scheduler", "example"),
    *("draw_samples", "datasets", "tokens", "flops_per_sample"),
)
BUILT_IN_TASKS = {
    "mnist": "trainingjob_trainer.tasks.mnist:MnistTask",
    "mnist-denoise": "trainingjob_trainer.tasks.denoise:DenoiseTask",
    "text": "trainingjob_trainer.tasks.text:TextTask",
    "wine": "trainingjob_trainer.tasks.wine:WineTask",
}
_DIGEST_CHARACTERS = 16
_IMAGE_TASK = "trainingjob_trainer.tasks.images.ImageTask"

Batch = Any
"""What a loader gives at once: tensors, or any nesting of dicts, lists, tuples and dataclasses."""


class TaskNotFoundError(ValueError):
    """No task of that name, or what it names is not a task."""


class Loader(Protocol):
    """A torch `DataLoader`, or anything else that gives batches; it may have a length."""

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


@dataclass(frozen=True, slots=True)
class DatasetVersion:
    """Data that a training reads, as an input of its run in MLflow.

    Attributes:
        name: what people call it.
        digest: changes with the content, at most 36 characters.
        source: where it is: a path or a URI.
        context: what it is for, such as "training" or "validation".
    """

    name: str
    digest: str
    source: str
    context: str = "training"

    @classmethod
    def of_file(cls, name: str, path: Path, context: str = "training") -> "DatasetVersion":
        """Read a file for its digest; raises OSError."""
        with path.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
        return cls(name, digest[:_DIGEST_CHARACTERS], str(path), context)


@dataclass(frozen=True, slots=True)
class SampleFile:
    """Samples of one epoch: the suffix of their file, such as ".png" or ".txt", and its content."""

    suffix: str
    content: bytes


class Metric(Protocol):
    """A metric over many batches of all ranks: a torchmetrics `Metric`, or what looks like one."""

    def update(self, *arguments: Any) -> None:
        """Take a batch of this rank."""
        ...

    def compute(self) -> Any:
        """Return the value () over all batches of all ranks, which all call this together."""
        ...

    def reset(self) -> None:
        """Begin anew."""
        ...

    def to(self, device: torch.device) -> Any:
        """Move to a device; return itself."""
        ...


@runtime_checkable
class Task(Protocol):
    """What is trained, on batches of any kind. Made once in every process, with its settings.

    The settings are the arguments of its constructor: they come from flags, environment and file.

    A class that inherits from this one gets the defaults; one that does not has all the methods.
    """

    name: str

    @abstractmethod
    def build_model(self) -> nn.Module:
        """Build the model on the CPU."""
        ...

    @abstractmethod
    def build_loaders(self, request: DataRequest) -> Loaders:
        """Load the data of this rank."""
        ...

    @abstractmethod
    def forward(self, model: nn.Module, batch: Batch) -> Any:
        """Run the model on a batch that is on its device."""
        ...

    @abstractmethod
    def loss(self, output: Any, batch: Batch) -> Tensor:
        """Return the scalar loss, a mean over the batch."""
        ...

    @abstractmethod
    def count(self, batch: Batch) -> int:
        """Return how many samples a batch holds: its weight in means."""
        ...

    def metrics(self, output: Any, batch: Batch) -> dict[str, Tensor]:  # noqa: ARG002 - the default
        """Return scalars such as `accuracy`, each a mean over the batch; by default none."""
        return {}

    def build_metrics(self) -> Mapping[str, Metric]:
        """Build metrics over the whole validation set, such as torchmetrics has; by default none.

        Each is a number. They are on the device of the model, and cleared before each validation.
        """
        return {}

    def measure(self, metrics: Mapping[str, Metric], output: Any, batch: Batch) -> None:  # noqa: ARG002 - the default
        """Have these metrics take a validation batch; a task that builds some needs this."""
        raise TaskNotFoundError(f"task {self.name} builds metrics: it lacks measure")

    def build_optimizer(self, model: nn.Module, learning_rate: float) -> Optimizer:
        """Build the optimizer of the model's parameters; by default AdamW."""
        return AdamW(model.parameters(), lr=learning_rate)

    def build_scheduler(self, optimizer: Optimizer, total_steps: int) -> LRScheduler | None:  # noqa: ARG002 - the default
        """Build what changes the learning rate after each step; by default the options say it."""
        return None

    def example(self, batch: Batch) -> Tensor | None:  # noqa: ARG002 - the default
        """Return a few inputs of the model, which describe it in MLflow; by default none.

        With none there is neither signature nor input example, and only weights are logged.
        """
        return None

    def draw_samples(self, model: nn.Module, batch: Batch, epoch: int) -> SampleFile | None:  # noqa: ARG002 - the default
        """Show what the model says about a validation batch after an epoch; by default nothing.

        The model is in evaluation mode, the batch on its device. An error is logged and counted.
        """
        return None

    def tokens(self, batch: Batch) -> int:  # noqa: ARG002 - the default
        """Return how many tokens a batch holds, for their number a second; by default none."""
        return 0

    def flops_per_sample(self) -> float | None:
        """Return the FLOPs of a forward and backward pass; by default they are not known."""
        return None

    def datasets(self) -> Sequence[DatasetVersion]:
        """Return what the run shows as the data sets of the training; by default nothing."""
        return ()


def length_of(loader: Loader) -> int | None:
    """Return the number of batches, None for a stream."""
    try:
        return len(loader)  # type: ignore[arg-type]  # asked for, not known
    except TypeError:
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
    if inspect.isabstract(factory):
        raise _lacking(path, [one for one in _MEMBERS if _is_abstract(factory, one)])
    task = factory(**(settings or {}))
    if not isinstance(task, Task):
        raise _lacking(path, [member for member in _MEMBERS if not hasattr(task, member)])
    return task


def _is_abstract(factory: object, member: str) -> bool:
    return getattr(getattr(factory, member, None), "__isabstractmethod__", False)


def _lacking(path: str, members: Sequence[str]) -> TaskNotFoundError:
    hint = ""
    if "forward" in members:
        hint = f'; where batches have an "image", inherit from {_IMAGE_TASK}, which has it'
    return TaskNotFoundError(f"{path} is not a task: it lacks {', '.join(members)}{hint}")
