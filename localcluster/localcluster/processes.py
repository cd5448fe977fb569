"""Find and end the supervisor of a cluster, whichever clone started it."""

from __future__ import annotations

import os
import signal
import time
from dataclasses import dataclass
from pathlib import Path

from localcluster.errors import ClusterError

SUPERVISOR_MODULE = "localcluster.supervisor"
STOP_SECONDS = 20.0
KILL_SECONDS = 20.0
POLL_SECONDS = 0.05


@dataclass(frozen=True)
class SupervisorProcess:
    """A supervisor, or the ``unshare`` that is its parent and dies with it."""

    pid: int
    is_wrapper: bool


def supervisors(plan: Path) -> list[SupervisorProcess]:
    """The processes that run ``plan``, found by their command lines."""
    found = []
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit():
            continue
        try:
            argv = (entry / "cmdline").read_bytes().decode(errors="replace").split("\0")
        except (FileNotFoundError, ProcessLookupError):
            continue
        if SUPERVISOR_MODULE in argv and str(plan) in argv:
            found.append(SupervisorProcess(int(entry.name), Path(argv[0]).name == "unshare"))
    return found


def supervisor_pid(plan: Path) -> int | None:
    """The process id of the supervisor itself, as this machine sees it."""
    return next((process.pid for process in supervisors(plan) if not process.is_wrapper), None)


def stop(plan: Path) -> None:
    """Ask the supervisor to end; kill it when it does not.

    Raises:
        ClusterError: it is there still.
    """
    for number, seconds in ((signal.SIGTERM, STOP_SECONDS), (signal.SIGKILL, KILL_SECONDS)):
        deadline = time.monotonic() + seconds
        while running := supervisors(plan):
            if time.monotonic() > deadline:
                break
            # Again and again: process 1 of a namespace ignores what comes before it listens.
            for process in running:
                if number == signal.SIGKILL or not process.is_wrapper:
                    _signal(process.pid, number)
            time.sleep(POLL_SECONDS)
        else:
            return
    raise ClusterError(f"the supervisor of {plan} does not end: {supervisors(plan)}")


def _signal(pid: int, number: signal.Signals) -> None:
    try:
        os.kill(pid, number)
    except ProcessLookupError:
        return
