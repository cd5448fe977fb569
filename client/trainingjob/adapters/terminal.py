"""What people see: tables, explanations, and a job that is followed."""

import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn
from rich.text import Text

from trainingjob.core import updates
from trainingjob.core.checkup import Finding
from trainingjob.core.job import Job
from trainingjob.core.merging import Line
from trainingjob.core.why import Explanation

_COLOURS = {
    "Succeeded": "green",
    "Running": "cyan",
    "Failed": "red",
    "Stopped": "yellow",
    "Restarting": "yellow",
    "Suspended": "yellow",
    "Queued": "yellow",
    "Deleting": "yellow",
}
_RANKS = ("cyan", "magenta", "green", "yellow", "blue", "bright_cyan", "bright_magenta")
_MARKS = {True: ("✓", "green"), False: ("✗", "red"), None: ("?", "yellow")}
_SAYS = "tj: "


def console() -> Console:
    """Standard output; lines are never wrapped or cut, and colours only go to a terminal."""
    return Console(soft_wrap=True, highlight=False, markup=False, emoji=False)


def lines(texts: Iterable[str]) -> None:
    """Print lines of a table, the states in it coloured."""
    out = console()
    for text in texts:
        out.print(coloured(text))


def coloured(text: str) -> Text:
    """A text with colours on the states that are in it."""
    shown = Text(text)
    for state, colour in _COLOURS.items():
        shown.highlight_words([state], colour)
    return shown


def explanation(found: Explanation) -> None:
    """Print a sentence, what is known, and what to do."""
    out = console()
    out.print(Text(found.sentence, "bold"))
    width = max((len(name) for name, _ in found.facts), default=0)
    for name, value in found.facts:
        # Messages of several lines stay below their beginning.
        indented = value.replace("\n", "\n" + " " * (width + 4))
        out.print(Text.assemble("  ", (f"{name:<{width}}", "dim"), "  ", indented))
    for remedy in found.remedies:
        out.print(Text.assemble(("→ ", "green"), remedy))


def findings(found: Iterable[Finding]) -> bool:
    """Print each finding as it comes; whether nothing is wrong."""
    out, well = console(), True
    for one in found:
        mark, colour = _MARKS[one.good]
        out.print(Text.assemble((f"{mark} ", colour), one.text))
        if one.remedy:
            out.print(Text.assemble(("  → ", "green"), one.remedy))
        well &= one.good is not False
    return well


def complain(message: str, remedy: str = "") -> None:
    """Print an error in one line, and what to do in another, on standard error."""
    err = Console(stderr=True, soft_wrap=True, highlight=False, markup=False, emoji=False)
    err.print(Text.assemble(("error: ", "bold red"), message))
    if remedy:
        err.print(Text.assemble(("→ ", "green"), remedy))


class Screen:
    """A job that is followed: its news, the output of its pods, and a bar at the bottom."""

    def __init__(self, *, with_ranks: bool) -> None:
        self._with_ranks = with_ranks
        self._console = console()
        self._before: Job | None = None
        self._bar: Progress | None = None

    @contextmanager
    def shown(self) -> Iterator["Screen"]:
        """Show the bar meanwhile, on a terminal."""
        if not self._console.is_terminal:
            yield self
            return
        self._bar = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            TaskProgressColumn(),
            TextColumn("{task.fields[text]}"),
            console=self._console,
            transient=True,
        )
        with self._bar:
            yield self

    def job(self, job: Job) -> None:
        """Show what has changed about the job."""
        for text in updates.news(self._before, job):
            self.say(text)
        if self._bar is not None:
            self._show_bar(self._bar, job)
        elif (done := updates.progress_line(self._before, job)) is not None:
            self.say(done)
        self._before = job

    def line(self, line: Line) -> None:
        """Show a line of a pod, with the rank in front where there are several."""
        rank = f"[{line.rank}] " if self._with_ranks else ""
        if not self._console.is_terminal:
            sys.stdout.write(f"{rank}{line.text}\n")
            return
        # Of a progress bar only its last state; colours of the program stay.
        text = line.text.rstrip("\r").rpartition("\r")[2]
        self._console.print(Text(rank, _RANKS[line.rank % len(_RANKS)]) + Text.from_ansi(text))

    def say(self, text: str) -> None:
        """Show a line of our own."""
        self._console.print(Text.assemble((_SAYS, "dim"), coloured(text)))

    def _show_bar(self, bar: Progress, job: Job) -> None:
        if job.progress.percentage is None:
            return
        text = updates.progress(job)
        if not bar.tasks:
            bar.add_task(job.name, total=100, text="")
        bar.update(bar.task_ids[0], completed=job.progress.percentage, text=text)
