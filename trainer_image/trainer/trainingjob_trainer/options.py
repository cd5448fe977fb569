"""The options of `trainingjob-trainer run`."""

from collections.abc import Callable, Mapping
from dataclasses import Field, dataclass, field, fields
from pathlib import Path
from typing import Any, Literal

from trainingjob_agent.contract import MonitorLevel

from trainingjob_trainer.reading import (
    StepRange,
    boolean,
    integer,
    model_name,
    number,
    one_of,
    step_range,
)
from trainingjob_trainer.settings import Given

Precision = Literal["fp32", "bf16", "fp16"]
Schedule = Literal["constant", "linear", "cosine"]
Mode = Literal["min", "max"]
Kind = Literal["ddp", "fsdp2"]


class OptionError(ValueError):
    """A value that cannot be used; says where it comes from."""


def _read(parse: Callable[[str], Any], help_text: str) -> dict[str, Any]:
    """Say how an option is read from text, and what it is."""
    return {"parse": parse, "help": help_text}


@dataclass(frozen=True, slots=True)
class RunOptions:
    """How to train. `batch_size` is that of one process; seconds are wall clock."""

    task: str = field(metadata=_read(str, "a built-in one, or package.module:Class"))
    epochs: int = field(default=5, metadata=_read(integer(1), "passes through the training data"))
    batch_size: int = field(
        default=64, metadata=_read(integer(1), "samples in one batch of one process")
    )
    steps_per_epoch: int | None = field(
        default=None,
        metadata=_read(integer(1), "steps of an epoch, for a stream or less than all of the data"),
    )
    accumulate: int = field(
        default=1, metadata=_read(integer(1), "batches whose gradients make one step")
    )
    learning_rate: float = field(default=2e-3, metadata=_read(number(zero=False), "at its highest"))
    schedule: Schedule = field(
        default="constant",
        metadata=_read(
            one_of("constant", "linear", "cosine"),
            "of the learning rate: constant, or to 0 by linear or cosine",
        ),
    )
    warmup_steps: int = field(
        default=0, metadata=_read(integer(0), "steps in which the learning rate rises from 0")
    )
    clip_norm: float | None = field(
        default=None,
        metadata=_read(number(zero=False), "longest gradient; a longer one is shortened to it"),
    )
    max_not_finite: int = field(
        default=100,
        metadata=_read(
            integer(0), "batches without a finite loss, after which training fails; of all ranks"
        ),
    )
    precision: Precision = field(
        default="fp32",
        metadata=_read(one_of("fp32", "bf16", "fp16"), "of the forward pass: fp32, bf16 or fp16"),
    )
    parallel: Kind = field(
        default="ddp",
        metadata=_read(
            one_of("ddp", "fsdp2"),
            "how several processes share the model: ddp, each has all of it; fsdp2, each a shard",
        ),
    )
    compile: bool = field(default=False, metadata=_read(boolean, "run the model by torch.compile"))
    initial_weights: str | None = field(
        default=None,
        metadata=_read(
            str,
            "of the model: a file, a directory of checkpoints, or models:/… or runs:/… of MLflow",
        ),
    )
    evaluate_only: bool = field(
        default=False,
        metadata=_read(boolean, "train nothing: only report validation metrics and samples"),
    )
    seed: int = field(
        default=0, metadata=_read(integer(0), "of weights, noise and the order of samples")
    )
    best_metric: str = field(
        default="loss", metadata=_read(str, "validation metric by which an epoch is the best")
    )
    best_mode: Mode = field(
        default="min", metadata=_read(one_of("min", "max"), "of the best metric: min or max")
    )
    patience: int | None = field(
        default=None,
        metadata=_read(integer(1), "epochs without a better one, after which training ends"),
    )
    report_seconds: float = field(
        default=5.0,
        metadata=_read(
            number(zero=True), "from one report of training metrics to the next; 0: each step"
        ),
    )
    peak_teraflops: float | None = field(
        default=None,
        metadata=_read(
            number(zero=False), "of one process's device, for the utilization; by default its own"
        ),
    )
    checkpoint_dir: Path | None = field(
        default=None,
        metadata=_read(Path, "where checkpoints go; by default $TRAININGJOB_CHECKPOINT_DIR"),
    )
    checkpoint_every_seconds: float = field(
        default=300.0,
        metadata=_read(
            number(zero=True), "from one checkpoint to the next; one more at each epoch's end"
        ),
    )
    checkpoint_keep: int = field(
        default=3, metadata=_read(integer(1), "checkpoints kept; older ones go")
    )
    adopt_checkpoints: bool = field(
        default=False,
        metadata=_read(boolean, "go on from the checkpoints of another job, else an error"),
    )
    stop_seconds: float = field(
        default=15.0,
        metadata=_read(
            number(zero=False), "after SIGTERM, to end the step and write the checkpoint"
        ),
    )
    model_seconds: float = field(
        default=840.0,
        metadata=_read(
            number(zero=False), "after training, to get the models into MLflow; else it fails"
        ),
    )
    registered_model_name: str | None = field(
        default=None,
        metadata=_read(
            model_name, "in MLflow's model registry; the best model becomes a new version of it"
        ),
    )
    collective_seconds: float = field(
        default=600.0,
        metadata=_read(
            number(zero=False), "that a rank waits for another one in a step; else it fails"
        ),
    )
    hang_seconds: float = field(
        default=300.0,
        metadata=_read(
            number(zero=True),
            "without a step, after which the stacks of all ranks are logged; 0: never",
        ),
    )
    profile_steps: StepRange | None = field(
        default=None,
        metadata=_read(step_range, "steps such as 10:15 whose trace by torch.profiler is kept"),
    )
    monitor_level: MonitorLevel = field(
        default="basic",
        metadata=_read(
            one_of("basic", "full"), "of system metrics in MLflow: basic, or full for all of them"
        ),
    )
    model_dir: Path | None = field(
        default=None,
        metadata=_read(
            Path, "where samples are kept; by default in the checkpoint directory or /tmp"
        ),
    )

    settings: Mapping[str, Given] = field(default_factory=dict)
    """What was given for settings of the task, which reads them itself."""

    def params(self) -> dict[str, object]:
        """Return all options that have a value, as MLflow shows them."""
        values = {item.name: getattr(self, item.name) for item in all_options()}
        return {name: value for name, value in values.items() if value is not None}


def all_options() -> list["Field[Any]"]:
    """Return the options, each with how its text is read (`parse`) and a `help` text."""
    return [item for item in fields(RunOptions) if "parse" in item.metadata]
