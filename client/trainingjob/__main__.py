"""`tj` and `kubectl tj`."""

import io
import os
import sys
import threading
from typing import NoReturn

from trainingjob.commands.app import app
from trainingjob.errors import UserError


def main() -> None:
    """Run a command; what the user can put right is said in a line, not as a traceback."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            # A terminal or a file of another code than UTF-8 is no reason to end; and who reads a
            # pipe, as `tee` does, wants each line when it comes.
            stream.reconfigure(errors="replace", line_buffering=True)
    _end(_run())


def _run() -> int:
    """The exit code of the command."""
    try:
        app(prog_name="tj")
    except SystemExit as end:
        return end.code if isinstance(end.code, int) else 0
    except UserError as error:
        from trainingjob.adapters import terminal

        terminal.complain(error.message, error.remedy)
        return 1
    return 0


def _end(code: int) -> NoReturn:
    """End with an exit code, when all that was printed is out."""
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except BrokenPipeError:
            # `tj logs NAME | head`; Python would complain once more as it closes the stream.
            os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())
    if any(thread.daemon for thread in threading.enumerate()):
        # A thread that waits for a log holds locks which the interpreter's end would ask for: it
        # would abort.
        os._exit(code)
    sys.exit(code)


if __name__ == "__main__":
    main()
