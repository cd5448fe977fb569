"""Asks other processes for the stacks of all their threads, also of one that hangs."""

import atexit
import functools
import os
import tempfile
import time
from collections.abc import Iterable
from pathlib import Path

from trainingjob_agent.stacks.on_signal import (
    FILE_VARIABLE,
    MAIN_STACK_SIGNAL,
    STACKS_SIGNAL,
)

_ANSWER_SECONDS = 10.0
_QUIET_SECONDS = 0.1
_CUT = "\n..."
"""faulthandler stops after a hundred threads, the youngest first: the main thread is the last."""


@functools.cache
def stacks_file() -> Path:
    """Return the file for all processes of this node; the first that asks chooses it.

    Raises:
        OSError: there is no place for it.
    """
    if FILE_VARIABLE not in os.environ:
        directory = tempfile.TemporaryDirectory(prefix="trainingjob-stacks-")
        atexit.register(directory.cleanup)
        os.environ[FILE_VARIABLE] = str(Path(directory.name) / "stacks.txt")
    return Path(os.environ[FILE_VARIABLE])


def collect(file: Path, processes: Iterable[tuple[str, int]]) -> str:
    """Return the stacks of all `processes`, each with its title and process id.

    One after the other, because they write to the same file. Takes 10 s at most for each.
    """
    return "\n".join(f"== {title}, process {pid}\n{_ask(file, pid)}" for title, pid in processes)


def _ask(file: Path, pid: int) -> str:
    state = _status(pid)
    if not state:
        return "has ended\n"
    if not int(state.get("SigCgt", "0"), 16) >> (STACKS_SIGNAL - 1) & 1:
        # Others would die of it.
        return f"gives no stacks: {state.get('Name')}, {state.get('State')}\n"
    try:
        answer = _answer(file, pid, STACKS_SIGNAL)
        if answer.rstrip("\n").endswith(_CUT):
            answer += _answer(file, pid, MAIN_STACK_SIGNAL)
    except OSError as error:
        return f"cannot be asked: {error}\n"
    return answer or f"does not answer: {state.get('Name')}, {state.get('State')}\n"


def _answer(file: Path, pid: int, number: int) -> str:
    """Raises OSError: the process has ended, or has written nothing that can be read."""
    begin = _size(file)
    os.kill(pid, number)
    _wait_for_answer(file, begin)
    with file.open("rb") as answers:
        answers.seek(begin)
        return answers.read().decode(errors="replace")


def _wait_for_answer(file: Path, begin: int) -> None:
    """Wait until the file has grown, and then has not for a moment."""
    deadline = time.monotonic() + _ANSWER_SECONDS
    last = begin
    while time.monotonic() < deadline:
        time.sleep(_QUIET_SECONDS)
        size = _size(file)
        if size == last and size > begin:
            return
        last = size


def _size(file: Path) -> int:
    return file.stat().st_size if file.exists() else 0


def _status(pid: int) -> dict[str, str]:
    """Read /proc/PID/status; empty when there is no such process."""
    try:
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    except OSError:
        return {}
    return {name: value.strip() for name, _, value in (line.partition(":") for line in lines)}
