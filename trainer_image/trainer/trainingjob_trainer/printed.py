"""What this process prints, kept for the run while it passes on as it is."""

import os
import sys
from collections.abc import Callable, Iterable
from typing import Any, TextIO, cast

from trainingjob_agent.contract import Contract
from trainingjob_agent.logs.output import Output

from trainingjob_trainer.node_log import KEPT


class _Copied:
    """A stream of text whose writes are kept, too; in all else the stream itself."""

    def __init__(self, stream: TextIO, keep: Callable[[bytes], None]) -> None:
        self._stream = stream
        self._keep = keep

    def write(self, text: str) -> int:
        written = self._stream.write(text)
        self._keep(text.encode(errors="replace"))
        return written

    def writelines(self, lines: Iterable[str]) -> None:
        for line in lines:
            self.write(line)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


def keep_printed(contract: Contract) -> Output | None:
    """Keep what Python code writes to standard output and error, where there is a run for it.

    For a process that trains itself; one that starts ranks keeps all that they write (`node_log`).
    Native code writes past Python: what it writes is in the pod's log only. A pipe in place of the
    streams would have all of it, but a crash would take the last lines from the pod's log.
    """
    if not contract.tracked or contract.local_rank > 0 or KEPT in os.environ:
        return None
    output = Output(os.environ)
    streams = sys.stdout, sys.stderr
    sys.stdout, sys.stderr = (cast("TextIO", _Copied(one, output.add)) for one in streams)

    def restore() -> None:
        # Nobody uploads what a forked process keeps, and its lock may have been held at the fork.
        sys.stdout, sys.stderr = streams

    os.register_at_fork(after_in_child=restore)
    return output
