"""The processes of this pod, as /proc has them: one file each."""

import os
from dataclasses import dataclass
from pathlib import Path

_PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")
_STAT_BYTES = 4096
_PARENT, _THREADS, _STARTED, _RESIDENT = 1, 17, 19, 21
"""Columns of /proc/PID/stat behind the name (man 5 proc_pid_stat)."""


@dataclass(frozen=True, slots=True)
class Process:
    """One process at one moment; number and start together are its own for good."""

    pid: int
    parent: int
    started: int
    threads: int
    resident_bytes: int


def read_process(pid: int, proc: str = "/proc") -> Process | None:
    """Read one process; None if it has ended, or is not for us to see."""
    try:
        # A third of the time of pathlib and a text file, for each process of the pod.
        file = os.open(f"{proc}/{pid}/stat", os.O_RDONLY | os.O_CLOEXEC)
        try:
            text = os.read(file, _STAT_BYTES)
        finally:
            os.close(file)
        columns = text[text.rindex(b")") + 1 :].split()
        parent, threads, started, resident = (
            int(columns[index]) for index in (_PARENT, _THREADS, _STARTED, _RESIDENT)
        )
    except (OSError, ValueError, IndexError):
        return None
    return Process(pid, parent, started, threads, resident * _PAGE_BYTES)


def descendants(root: int, proc: str = "/proc") -> list[Process]:
    """Return a process and all that it has started, parents before their children.

    Raises:
        OSError: there is no list of processes.
    """
    with os.scandir(proc) as entries:
        found = [read_process(int(one.name), proc) for one in entries if one.name.isdigit()]
    children: dict[int, list[Process]] = {}
    for process in found:
        if process is not None:
            children.setdefault(process.parent, []).append(process)
    tree = [process for process in found if process is not None and process.pid == root]
    for process in tree:
        tree += children.pop(process.pid, [])
    return tree


def read_environment(pid: int, proc: str = "/proc") -> dict[str, str]:
    """Return the environment that a process was started with; empty if it cannot be seen."""
    try:
        text = Path(proc, str(pid), "environ").read_text(errors="replace")
    except OSError:
        return {}
    return dict(entry.partition("=")[::2] for entry in text.split("\0") if entry)


def count_open_files(pid: int, proc: str = "/proc") -> int | None:
    """Return how many files, sockets and pipes a process has open; None if that is not to see."""
    try:
        with os.scandir(f"{proc}/{pid}/fd") as entries:
            return sum(1 for _ in entries)
    except OSError:
        return None
