"""`tj` and `kubectl tj`."""

import io
import os
import sys
import threading

from trainingjob.commands.app import app
from trainingjob.errors import UserError


def main() -> None:
    """Run a command; what the user can put right is said in a line, not as a traceback."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            # A terminal or a file of another code than UTF-8 is no reason to end.
            stream.reconfigure(errors="replace")
    try:
        app(prog_name="tj")
    except SystemExit as end:
        _leave_readers(end.code)
        raise
    except UserError as error:
        from trainingjob.adapters import terminal

        terminal.complain(error.message, error.remedy)
        sys.exit(1)
    except BrokenPipeError:
        # `tj logs NAME | head`; Python would complain once more as it closes standard output.
        sys.stderr.close()
        sys.exit(1)


def _leave_readers(code: object) -> None:
    """End at once where threads still read logs.

    One that waits for a server holds locks which the interpreter's end would ask for: it aborts.
    """
    if isinstance(code, int) and any(thread.daemon for thread in threading.enumerate()):
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


if __name__ == "__main__":
    main()
