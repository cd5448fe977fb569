"""Settings of a task: the arguments of its constructor, each with a type and a default."""

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

_NAMED = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)


class SettingError(ValueError):
    """A setting that the task does not have, lacks, or cannot use; says where it comes from."""


@dataclass(frozen=True, slots=True)
class Given:
    """What somebody gave for a setting: text, or a value of a TOML or JSON file."""

    value: object
    source: str


def read_settings(
    task: str, factory: Callable[..., object], given: Mapping[str, Given]
) -> dict[str, object]:
    """Return all settings of a task, by name: what was given, in its type, or the default.

    Raises:
        SettingError: what was given does not fit what the constructor takes.
    """
    parameters = {
        name: parameter
        for name, parameter in inspect.signature(factory, eval_str=True).parameters.items()
        if parameter.kind in _NAMED
    }
    for name, found in given.items():
        if name not in parameters:
            known = f"it has {', '.join(parameters)}" if parameters else "it has none"
            raise SettingError(f"{found.source}: task {task} has no setting {name!r}; {known}")
    settings = {}
    for name, parameter in parameters.items():
        if name in given:
            settings[name] = _read(parameter, given[name])
        elif parameter.default is inspect.Parameter.empty:
            raise SettingError(f"task {task} needs the setting {name!r}: --set {name}=VALUE")
        else:
            settings[name] = parameter.default
    return settings


def _read(parameter: inspect.Parameter, given: Given) -> Any:
    from pydantic import TypeAdapter, ValidationError  # only a task with settings waits for it

    adapter: TypeAdapter[Any] = TypeAdapter(_type_of(parameter))
    value = given.value
    try:
        if not isinstance(value, str):
            return adapter.validate_python(value)
        if value.startswith(("[", "{")):
            return adapter.validate_json(value)
        return adapter.validate_strings(value)
    except ValidationError as error:
        raise SettingError(f"{given.source}: {error.errors()[0]['msg']}, not {value!r}") from error


def _type_of(parameter: inspect.Parameter) -> Any:
    """The annotation; without one that of the default, and without both text."""
    if parameter.annotation is not inspect.Parameter.empty:
        return parameter.annotation
    default = parameter.default
    return str if default in (None, inspect.Parameter.empty) else type(default)
