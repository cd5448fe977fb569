"""The options of `trainingjob-trainer run`: from flags, environment and a file."""

import argparse
import json
import os
import tomllib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import Field, dataclass, field, fields
from pathlib import Path
from typing import Any, Literal, cast

from trainingjob_agent.contract import MonitorLevel

from trainingjob_trainer.reading import boolean, integer, number, one_of
from trainingjob_trainer.settings import Given

PREFIX = "TRAININGJOB_OPTION_"
SETTING_PREFIX = "TRAININGJOB_SETTING_"
FILE_VARIABLE = "TRAININGJOB_OPTIONS_FILE"

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
    hang_seconds: float = field(
        default=300.0,
        metadata=_read(
            number(zero=True),
            "without a step, after which the stacks of all ranks are logged; 0: never",
        ),
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
        values = {item.name: getattr(self, item.name) for item in _options()}
        return {name: value for name, value in values.items() if value is not None}


def _options() -> list["Field[Any]"]:
    return [item for item in fields(RunOptions) if "parse" in item.metadata]


def parse_options(
    arguments: Sequence[str] | None = None, environment: Mapping[str, str] = os.environ
) -> RunOptions:
    """Return the options: a flag goes before the environment, that before the file.

    Exits with status 2 and a usage message when one of them is wrong.
    """
    parser, run = _parsers()
    flags = vars(parser.parse_args(arguments))
    try:
        settings = _settings_from_flags(flags.pop("set", []))
        file = flags.pop("options", None) or environment.get(FILE_VARIABLE)
        content = _read_file(Path(file)) if file else {}
        in_file = content.pop("settings", {})
        values = _from_file(content, f"{file}")
        values |= _from_environment(environment)
        given = _settings_from_file(in_file, f"{file}")
    except OptionError as error:
        run.error(str(error))
    values |= flags
    values["settings"] = given | _settings_from_environment(environment) | settings
    if "task" not in values:
        run.error("which task? Give mnist, or package.module:Class")
    return RunOptions(**values)


def _parsers() -> tuple[argparse.ArgumentParser, argparse.ArgumentParser]:
    parser = argparse.ArgumentParser(prog="trainingjob-trainer")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    run = commands.add_parser(
        "run",
        help="train a task",
        description="Train a task; on several nodes or processes when the PET_ variables say so. "
        f"Each option can also come from the environment ({PREFIX}BATCH_SIZE for --batch-size) "
        "and from a file (batch_size); a flag goes before the environment, that before the file. "
        f"So can the settings of the task: --set NAME=VALUE, {SETTING_PREFIX}NAME, and the table "
        "`settings` of the file.",
        argument_default=argparse.SUPPRESS,
    )
    run.add_argument(
        "--options", metavar="FILE", help=f"a .toml or .json file; by default ${FILE_VARIABLE}"
    )
    run.add_argument(
        "--set",
        action="append",
        metavar="NAME=VALUE",
        help="a setting of the task; may be given several times",
    )
    for item in _options():
        parse, text = item.metadata["parse"], item.metadata["help"]
        if item.name == "task":
            run.add_argument("task", nargs="?", help=text)
        elif parse is boolean:
            run.add_argument(_flag(item), action=argparse.BooleanOptionalAction, help=text)
        else:
            shown = "" if item.default is None else f" (default: {item.default})"
            run.add_argument(_flag(item), type=parse, help=text + shown)
    return parser, run


def _flag(item: "Field[Any]") -> str:
    return "--" + item.name.replace("_", "-")


def _read_file(path: Path) -> dict[str, Any]:
    try:
        text = path.read_text(encoding="utf-8")
        content = json.loads(text) if path.suffix == ".json" else tomllib.loads(text)
    except (OSError, ValueError) as error:
        raise OptionError(f"options file {path}: {error}") from error
    if not isinstance(content, dict):
        raise OptionError(f"options file {path}: expected a table of options")
    return cast("dict[str, Any]", content)


def _from_file(content: Mapping[str, Any], path: str) -> dict[str, Any]:
    return {key: _parse(key, _text(value), f"{key} in {path}") for key, value in content.items()}


def _settings_from_file(content: object, path: str) -> dict[str, Given]:
    if not isinstance(content, dict):
        raise OptionError(f"options file {path}: settings must be a table")
    return {
        str(name): Given(value, f"settings.{name} in {path}")
        for name, value in cast("dict[str, Any]", content).items()
    }


def _settings_from_environment(environment: Mapping[str, str]) -> dict[str, Given]:
    return {
        name.removeprefix(SETTING_PREFIX).lower(): Given(value.strip(), name)
        for name, value in environment.items()
        if name.startswith(SETTING_PREFIX) and value.strip()
    }


def _settings_from_flags(flags: Sequence[str]) -> dict[str, Given]:
    settings = {}
    for flag in flags:
        name, separator, value = flag.partition("=")
        if not separator:
            raise OptionError(f"--set {flag}: expected NAME=VALUE")
        name = name.strip().replace("-", "_")
        settings[name] = Given(value.strip(), f"--set {name}")
    return settings


def _from_environment(environment: Mapping[str, str]) -> dict[str, Any]:
    return {
        name.removeprefix(PREFIX).lower(): _parse(name.removeprefix(PREFIX).lower(), value, name)
        for name, value in environment.items()
        if name.startswith(PREFIX) and value.strip()
    }


def _text(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _parse(name: str, text: str, source: str) -> Any:
    known = {item.name: item for item in _options()}
    if name not in known:
        raise OptionError(f"{source}: there is no option {name!r}")
    try:
        return known[name].metadata["parse"](text.strip())
    except (ValueError, argparse.ArgumentTypeError) as error:
        raise OptionError(f"{source}: {error}") from error
