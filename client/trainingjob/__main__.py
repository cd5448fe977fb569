"""`tj` and `kubectl tj`."""

import io
import sys

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
    except UserError as error:
        from trainingjob.adapters import terminal

        terminal.complain(error.message, error.remedy)
        sys.exit(1)
    except BrokenPipeError:
        # `tj logs NAME | head`; Python would complain once more as it closes standard output.
        sys.stderr.close()
        sys.exit(1)


if __name__ == "__main__":
    main()
