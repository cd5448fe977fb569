"""What a program printed at its end, read as a cause. Pure."""

import re
from dataclasses import dataclass

from trainingjob_agent.causes.reasons import USER_EXCEPTION, classify_text, reason_of

_LAST_CHARACTERS = 1000
_START = "Traceback (most recent call last):"
_RANK = re.compile(r"^\[rank(\d+)\]: ?")
_FRAME = re.compile(r'^  File "(?P<file>.+)", line (?P<line>\d+), in (?P<function>.+)$')
_EXCEPTION = re.compile(r"^(?P<name>[A-Za-z_][\w.]*)(?:: (?P<message>.*))?$")


@dataclass(frozen=True, slots=True)
class PrintedTraceback:
    """The last traceback of a text; `frames` as (file, line, function), the innermost last."""

    name: str
    message: str
    frames: tuple[tuple[str, int, str], ...] = ()
    rank: int | None = None

    @property
    def reason(self) -> str:
        """Of the job's status."""
        return classify_text(self.name, self.message)


def last_traceback(text: str) -> PrintedTraceback | None:
    """Find the last whole traceback that Python printed, also with torch's `[rank1]:` before it."""
    found = None
    lines = text.splitlines()
    for number, line in enumerate(lines):
        if line.endswith(_START):
            found = _read(lines[number:]) or found
    return found


def reason_by_words(text: str) -> str | None:
    """Return what a crash of native code tells of CUDA, NCCL or memory in its last words."""
    reason = reason_of(["RuntimeError"], text)
    return None if reason == USER_EXCEPTION else reason


def last_lines(text: str, limit: int = _LAST_CHARACTERS) -> str:
    """Return the last lines, as a terminal would show them: a progress bar is one line."""
    lines = [line.rstrip("\r").rpartition("\r")[2].rstrip() for line in text.split("\n")]
    whole = "\n".join(line for line in lines if line)
    if len(whole) <= limit:
        return whole
    cut = whole[-limit:]
    return cut.partition("\n")[2] or cut


def _read(lines: list[str]) -> PrintedTraceback | None:
    prefix = _RANK.match(lines[0])
    rank = int(prefix[1]) if prefix else None
    frames: list[tuple[str, int, str]] = []
    for line in lines[1:]:
        # Lines of other ranks may come between.
        marked = _RANK.match(line)
        if (int(marked[1]) if marked else None) != rank:
            continue
        text = line[marked.end() :] if marked else line
        if frame := _FRAME.match(text):
            frames.append((frame["file"], int(frame["line"]), frame["function"]))
        elif frames and not text.startswith(" ") and (error := _EXCEPTION.match(text)):
            return PrintedTraceback(error["name"], error["message"] or "", tuple(frames), rank)
    return None
