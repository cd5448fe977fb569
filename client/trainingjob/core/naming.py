"""Names of jobs that nobody has named."""

import re
from itertools import pairwise
from pathlib import PurePosixPath

from trainingjob.core.wire import MAX_NAME_LENGTH
from trainingjob.errors import UserError

_NAME = re.compile(r"[a-z]([-a-z0-9]*[a-z0-9])?")
# Of any object that kubectl can create (RFC 1123), whatever TrainingJobs may be called.
_OBJECT_NAME = re.compile(r"[a-z0-9]([-.a-z0-9]*[a-z0-9])?")
_FALLBACK = "job"


def checked(name: str) -> str:
    """Return a name that the API server takes.

    Raises:
        UserError: it has too many, or other characters.
    """
    if len(name) > MAX_NAME_LENGTH or not _NAME.fullmatch(name):
        raise UserError(
            f"--name {name!r} is no name of a TrainingJob",
            f"at most {MAX_NAME_LENGTH} characters, only a-z, 0-9 and '-', starting with a letter "
            "and ending with a letter or digit",
        )
    return name


def existing(name: str) -> str:
    """Return a name that an object may have.

    Raises:
        UserError: no object has such a name: it is empty, has a slash.
    """
    if not _OBJECT_NAME.fullmatch(name):
        raise UserError(
            f"{name!r} is no name of a TrainingJob", "tj ls shows the names of those that are there"
        )
    return name


def of_command(command: list[str], suffix: str) -> str:
    """A name after the script or module that a command runs, kept apart by `suffix`."""
    stem = re.sub(r"[^a-z0-9]+", "-", _program(command).lower()).strip("-")
    if not stem or not stem[0].isalpha():
        stem = f"{_FALLBACK}-{stem}".rstrip("-")
    return f"{stem[: MAX_NAME_LENGTH - len(suffix) - 1].rstrip('-')}-{suffix}"


def again(name: str, suffix: str) -> str:
    """A name for another job like this one, whose own last part may be such a suffix."""
    stem = re.sub(rf"-[0-9a-f]{{{len(suffix)}}}$", "", name)
    return f"{stem[: MAX_NAME_LENGTH - len(suffix) - 1].rstrip('-')}-{suffix}"


def _program(command: list[str]) -> str:
    """`train` of `torchrun train.py`, `pkg.train` of `python -m pkg.train`, else the program."""
    script = next((word for word in command if word.endswith((".py", ".sh"))), None)
    if script is not None:
        return PurePosixPath(script).stem
    module = next((after for word, after in pairwise(command) if word == "-m"), None)
    return module or PurePosixPath(command[0]).stem
