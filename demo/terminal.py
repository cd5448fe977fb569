"""A terminal that a command writes to, and a picture of what it shows."""

import io
import itertools
import os
import pty
import re
import select
import subprocess
import termios
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import pyte
from pyte.screens import Char
from rich.console import Console
from rich.style import Style
from rich.text import Text

_CHUNK_BYTES = 65536
_POLL_SECONDS = 0.2
# What pyte calls otherwise than rich does.
_COLOURS = {"brown": "yellow", "brightbrown": "bright_yellow"}


class Terminal:
    """A screen of so many columns and rows."""

    def __init__(self, columns: int, rows: int) -> None:
        self._screen = pyte.Screen(columns, rows)
        self._stream = pyte.ByteStream(self._screen)
        self._output: int | None = None

    @contextmanager
    def running(
        self, *command: str, directory: Path, environment: Mapping[str, str]
    ) -> Iterator["subprocess.Popen[bytes]"]:
        """Start a command below a prompt with its words; it is killed if it has not ended."""
        self._stream.feed(f"\x1b[1m$ {' '.join(command)}\x1b[0m\r\n".encode())
        self._output, theirs = pty.openpty()
        termios.tcsetwinsize(theirs, (self._screen.lines, self._screen.columns))
        process = subprocess.Popen(
            command,
            stdin=theirs,
            stdout=theirs,
            stderr=theirs,
            cwd=directory,
            env={**environment, "TERM": "xterm-256color"},
            start_new_session=True,
        )
        os.close(theirs)
        try:
            yield process
        finally:
            process.kill()
            process.wait()
            os.close(self._output)
            self._output = None

    def show_until(self, pattern: str | None, timeout_seconds: float = 300) -> None:
        """Show output until a pattern is on the screen; None: until the command has ended.

        Raises:
            TimeoutError: that does not happen in time; says what is shown.
        """
        deadline = time.monotonic() + timeout_seconds
        while pattern is None or not re.search(pattern, self.text):
            if time.monotonic() > deadline:
                raise TimeoutError(f"{pattern!r} is not shown:\n{self.text}")
            if not self._feed():
                if pattern is None:
                    return
                raise TimeoutError(f"the command ended without {pattern!r}:\n{self.text}")

    @property
    def text(self) -> str:
        """What is shown."""
        return "\n".join(line.rstrip() for line in self._screen.display).rstrip()

    def picture(self, name: str) -> str:
        """What is shown, as SVG; `name` keeps it apart from others on one page."""
        shown = self.text.count("\n") + 1
        console = Console(
            record=True, file=io.StringIO(), width=self._screen.columns, color_system="truecolor",
            force_terminal=True, highlight=False,
        )  # fmt: skip
        for row in range(shown):
            cells = self._screen.buffer[row]
            chars = (cells[column] for column in range(self._screen.columns))
            line = Text()
            for style, alike in itertools.groupby(chars, key=_style):
                line.append("".join(char.data for char in alike), style)
            line.rstrip()
            console.print(line, soft_wrap=True)
        written = console.export_svg(title="", unique_id=name)
        # No fonts of another site: whoever looks has a monospaced one.
        return re.sub(r"@font-face \{.*?\}", "", written, flags=re.DOTALL)

    def _feed(self) -> bool:
        """Show what has come; False at the end of the command."""
        if self._output is None:
            return False
        ready, _, _ = select.select([self._output], [], [], _POLL_SECONDS)
        if not ready:
            return True
        try:
            chunk = os.read(self._output, _CHUNK_BYTES)
        except OSError:
            # Linux ends a terminal so that nobody writes to any more.
            return False
        self._stream.feed(chunk)
        return bool(chunk)


def _style(char: Char) -> Style:
    return Style(color=_colour(char.fg), bgcolor=_colour(char.bg), bold=char.bold)


def _colour(name: str) -> str | None:
    if name == "default":
        return None
    if re.fullmatch("[0-9a-f]{6}", name):
        return f"#{name}"
    return _COLOURS.get(name, name.replace("bright", "bright_"))
