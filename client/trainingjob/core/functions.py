"""How a Python function becomes the command of a job, and its result comes back."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any

from trainingjob.errors import UserError

RESULT = "trainingjob/result.json"


@dataclass(frozen=True, slots=True)
class Place:
    """Where a pod finds a function: the directory to import from, its module, its name there."""

    root: str
    """Relative to the working directory."""
    module: str
    name: str


def place(module: str, name: str, file: PurePosixPath) -> Place:
    """The place of a function by its `__module__`, `__qualname__` and file in the directory.

    Raises:
        UserError: it is not at the top of its module, so that no import finds it.
    """
    if not name.isidentifier():
        raise UserError(
            f"{name} is not at the top level of its module",
            "define the function there, so that the pods can import it",
        )
    path = file.with_suffix("")
    if module == "__main__":
        return Place(str(path.parent), path.name, name)
    parts = module.split(".")
    if path.name == "__init__":
        path = path.parent
    if list(path.parts[-len(parts) :]) != parts:
        raise UserError(
            f"the module {module} is not where its file is, {file}",
            "put the function into a module that is imported by its file's name",
        )
    root = PurePosixPath(*path.parts[: -len(parts)])
    return Place(str(root), module, name)


def command(
    where: Place, calling: str, arguments: str, *, processes: bool = False, python: str = "python"
) -> tuple[str, ...]:
    """The command that calls it with pod/calling.py's source; `processes`: one for each rank."""
    launcher = ("torchrun", "--no-python") if processes else ()
    return (*launcher, python, "-c", calling, where.root, where.module, where.name, arguments)


def arguments(name: str, positional: Sequence[Any], named: Mapping[str, Any]) -> str:
    """The arguments of a call as JSON.

    Raises:
        UserError: one is not the same after JSON; names it and the remedy.
    """
    given = {**{f"number {n}": one for n, one in enumerate(positional, 1)}, **named}
    for which, value in given.items():
        if not _survives(value):
            raise UserError(
                f"argument {which} of {name} is a {type(value).__name__} that JSON cannot hold",
                "give numbers, strings, booleans, None, lists and dicts with text as keys; for "
                "anything else a path or a name",
            )
    return json.dumps({"args": list(positional), "kwargs": dict(named)})


def result(text: str) -> Any:
    """What a function returned, from the artifact that pod/calling.py writes.

    Raises:
        UserError: it returned something that JSON cannot hold, or the artifact is not its.
    """
    try:
        found = json.loads(text)
    except ValueError:
        found = None
    if isinstance(found, dict) and "value" in found:
        return found["value"]
    problem = found.get("error") if isinstance(found, dict) else None
    raise UserError(
        str(problem or f"{RESULT} of the run is not what a function returned"),
        "return numbers, strings, lists and dicts, or log it as an artifact of the run",
    )


def _survives(value: Any) -> bool:
    try:
        return bool(json.loads(json.dumps(value, allow_nan=False)) == value) and _plain(value)
    except (TypeError, ValueError):
        return False


def _plain(value: Any) -> bool:
    """Whether JSON gives the same types back: a tuple that equals nothing is refused above."""
    if isinstance(value, dict):
        return all(isinstance(key, str) and _plain(one) for key, one in value.items())
    if isinstance(value, list):
        return all(_plain(one) for one in value)
    return value is None or type(value) in (bool, int, float, str)
