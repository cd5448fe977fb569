"""What a program printed at its end, read as a cause. Pure."""

from __future__ import annotations

import re
from dataclasses import dataclass

from trainingjob_agent.causes.reasons import USER_EXCEPTION, classify_text, reason_of

_LAST_CHARACTERS = 1000
START = "Traceback (most recent call last):"
_RANK = re.compile(r"^\[rank(\d+)\]: ?")
_FRAME = re.compile(r'^  File "(?P<file>.+)", line (?P<line>\d+), in (?P<function>.+)$')
_EXCEPTION = re.compile(r"^(?P<name>[A-Za-z_][\w.]*)(?:: (?P<message>.*))?$")
_BY_LAUNCHERS = re.compile(
    # A launcher says that its child failed: torchrun with a report between lines of "=".
    r"^Traceback \(most recent call last\):\n(?: .*\n)*"
    r"torch\.distributed\.elastic\.multiprocessing\."
    r"(?:api\.SignalException|errors\.ChildFailedError).*(?:\n={20,}\n[\s\S]*?\n={20,}$)?\n?"
    r"|^Traceback \(most recent call last\):\n(?: .*\n)*?  File \".*/accelerate/commands/.*\n"
    r"(?: .*\n)*subprocess\.CalledProcessError.*\n?",
    re.MULTILINE,
)
_NOISE = re.compile(
    # torch's own log lines but for errors, torchrun's and its banner, Lightning's about a child
    r"^(\[rank\d+\]:)?\[?[IW]\d{4} [\d:.]+ .*(torch/distributed/|ProcessGroup\w+\.cpp|socket\.cpp)"
    r"|^E\d{4} [\d:.]+ .*torch/distributed/elastic/"
    r"|^\*{20,}$|^Setting OMP_NUM_THREADS environment variable"
    r"|Child process with PID \d+ terminated with code "
    r"|multiprocessing/resource_tracker\.py:\d+: UserWarning|^  warnings\.warn\("
)
_WORDS = (
    (re.compile(r"Watchdog caught collective operation timeout.*", re.I), "CollectiveTimeout"),
    (re.compile(r"ProcessGroupNCCL's watchdog got stuck.*"), "CollectiveTimeout"),
    (re.compile(r"\S+: can't open file '.*': \[Errno 2\].*"), "FileNotFound"),
    (re.compile(r"\S+: No module named .*"), "ImportFailure"),
)
"""Lines in which a program that prints no traceback says why it ends."""


@dataclass(frozen=True)
class PrintedTraceback:
    """The last traceback of a text; `frames` as (file, line, function), the innermost last.

    `at_end` is whether nothing of the program follows it.
    """

    name: str
    message: str
    frames: tuple[tuple[str, int, str], ...] = ()
    rank: int | None = None
    at_end: bool = True

    @property
    def reason(self) -> str:
        """Of the job's status."""
        return classify_text(self.name, self.message)


@dataclass(frozen=True)
class LastWords:
    """The last output of a program without a traceback; no reason if the text shows none."""

    text: str
    reason: str | None = None


def own_lines(text: str) -> str:
    """Return the text without what launchers and torch print around the end of a script."""
    lines = _BY_LAUNCHERS.sub("", text).split("\n")
    return "\n".join(line for line in lines if not _NOISE.search(line))


def last_traceback(text: str) -> PrintedTraceback | None:
    """Find the last whole traceback that Python printed, also with torch's `[rank1]:` before it."""
    found = None
    lines = text.splitlines()
    for number, line in enumerate(lines):
        if line.endswith(START):
            found = _read(lines[number:]) or found
    return found


def last_words(text: str) -> LastWords:
    """Return the line with the reason of a native crash, or the last lines."""
    for pattern, reason in _WORDS:
        if found := pattern.search(text):
            return LastWords(found[0], reason)
    lines = last_lines(text)
    reason = reason_of(["RuntimeError", "Exception"], lines)
    return LastWords(lines, None if reason == USER_EXCEPTION else reason)


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
    for number, line in enumerate(lines[1:], start=1):
        # Lines of other ranks may come between.
        marked = _RANK.match(line)
        if (int(marked[1]) if marked else None) != rank:
            continue
        text = line[marked.end() :] if marked else line
        if frame := _FRAME.match(text):
            frames.append((frame["file"], int(frame["line"]), frame["function"]))
        elif frames and not text.startswith(" ") and (error := _EXCEPTION.match(text)):
            followed = any(one.strip() and not _RANK.match(one) for one in lines[number + 1 :])
            return PrintedTraceback(
                error["name"], error["message"] or "", tuple(frames), rank, not followed
            )
    return None
