"""A process that has imported the operator once, and forks a real one for each line it reads.

A line is JSON with `environment` and `log`; the answer is the pid. Most of an operator's start is
the import of its libraries, which a test of hundreds of restarts cannot pay for each time.
"""

import ctypes
import gc
import json
import os
import random
import signal
import sys
from typing import Any, NoReturn

from trainingjob_operator import __main__ as operator

PR_SET_PDEATHSIG = 1


def main() -> None:
    """Fork until the end of the input; the operators die with this process."""
    # The kernel reaps: who wants to know of an end has a pidfd.
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    gc.collect()
    gc.freeze()
    print("ready", flush=True)
    for line in sys.stdin:
        pid = os.fork()
        if pid == 0:
            _live(json.loads(line))
        print(pid, flush=True)


def _live(order: dict[str, Any]) -> NoReturn:
    """Be an operator in all respects but its import."""
    code = 1
    try:
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        os.setsid()
        log = os.open(order["log"], os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
        nothing = os.open(os.devnull, os.O_RDONLY)
        for ours, standard in ((nothing, 0), (log, 1), (log, 2)):
            os.dup2(ours, standard)
        os.environ.update(order["environment"])
        random.seed()
        code = operator.main()
    finally:
        os._exit(code)


if __name__ == "__main__":
    main()
