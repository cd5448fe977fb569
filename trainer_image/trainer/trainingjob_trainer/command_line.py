"""The command line `trainingjob-trainer run`: options from flags, environment and a file."""

import argparse
import json
import os
import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from trainingjob_trainer.options import OptionError, RunOptions, all_options
from trainingjob_trainer.reading import boolean
from trainingjob_trainer.settings import Given

if TYPE_CHECKING:
    from dataclasses import Field

PREFIX = "TRAININGJOB_OPTION_"
SETTING_PREFIX = "TRAININGJOB_SETTING_"
FILE_VARIABLE = "TRAININGJOB_OPTIONS_FILE"


def parse_options(
    arguments: Sequence[str] | None = None, environment: Mapping[str, str] = os.environ
) -> RunOptions:
    """Return the options: a flag overrides the environment, which overrides the file.

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
        "and from a file (batch_size); a flag overrides the environment, which overrides the file. "
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
    for item in all_options():
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
    known = {item.name: item for item in all_options()}
    if name not in known:
        raise OptionError(f"{source}: there is no option {name!r}")
    try:
        return known[name].metadata["parse"](text.strip())
    except (ValueError, argparse.ArgumentTypeError) as error:
        raise OptionError(f"{source}: {error}") from error
