"""The processes of this node's ranks, and what each of them has started."""

import os
import time
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from trainingjob_agent.monitor import quantities as q
from trainingjob_agent.monitor.process_table import (
    Process,
    count_open_files,
    descendants,
    read_environment,
    read_process,
)
from trainingjob_agent.monitor.quantity import Reading

_FIRST_SEARCH_SECONDS, _SEARCH_SECONDS = 5.0, 30.0
"""Between two searches for new processes, at the start and later."""


class _Identity(NamedTuple):
    """What a launcher gives each rank of its own; workers inherit that of their rank."""

    rank: str | None
    local_rank: str | None
    launch: str | None


def local_ranks() -> list[tuple[str, int]]:
    """Return the ranks under the same launcher as this process, with their process ids."""
    processes = descendants(_launcher())
    return [(rank, members[0].pid) for rank, members in _by_rank(processes).items()]


class ProcessReader:
    """Memory, threads and open files of each rank, memory and number of what it has started.

    A command without ranks counts as rank 0.
    """

    def __init__(self, root: int | None = None) -> None:
        """Prepare.

        Args:
            root: the process whose ranks these are; by default the launcher of this process.
        """
        self._root = _launcher() if root is None else root
        self._members: dict[str, list[Process]] = {}
        self._begun_seconds = self._search_due_seconds = time.monotonic()

    def read(self) -> list[Reading]:
        """Read all ranks; one that has ended is left out.

        Raises:
            OSError: there is no list of processes.
        """
        now = time.monotonic()
        if now >= self._search_due_seconds:
            age = now - self._begun_seconds
            self._search_due_seconds = now + min(max(age, _FIRST_SEARCH_SECONDS), _SEARCH_SECONDS)
            self._members = _by_rank(descendants(self._root))
        else:
            self._members = {
                rank: living
                for rank, members in self._members.items()
                if (living := _again(members))
            }
        return [r for rank, members in self._members.items() for r in _read_one(rank, members)]


def _by_rank(tree: Sequence[Process]) -> dict[str, list[Process]]:
    """Return each rank's process, and behind it what that has started.

    Args:
        tree: the root and its descendants, parents first.
    """
    identities = {process.pid: _identity(process.pid) for process in tree}
    first: dict[str, int] = {}
    for process in tree:
        identity = identities[process.pid]
        # A launcher in a pod with RANK has the rank of one of its own workers.
        if identity.rank is not None and identity != identities.get(process.parent):
            first[identity.rank] = process.pid
    if not first and tree:
        first = {"0": tree[0].pid}
    return _grouped(tree, {pid: rank for rank, pid in first.items()})


def _grouped(tree: Sequence[Process], first: dict[int, str]) -> dict[str, list[Process]]:
    """Put each process to the rank above it; who is above all ranks, as a launcher, has none."""
    rank_of: dict[int, str] = {}
    members: dict[str, list[Process]] = {rank: [] for rank in first.values()}
    for process in tree:
        rank = first.get(process.pid, rank_of.get(process.parent))
        if rank is not None:
            rank_of[process.pid] = rank
            members[rank].append(process)
    return members


def _again(members: Sequence[Process]) -> list[Process]:
    """Read processes anew; none when that of the rank itself has ended."""
    now = [read_process(member.pid) for member in members]
    pairs = zip(now, members, strict=True)
    living = [new for new, old in pairs if new is not None and new.started == old.started]
    return living if living and living[0].pid == members[0].pid else []


def _read_one(rank: str, members: Sequence[Process]) -> Iterator[Reading]:
    process, *workers = members
    files = count_open_files(process.pid)
    yield Reading(q.PROCESS_MEMORY, process.resident_bytes, (rank,))
    yield Reading(q.PROCESS_THREADS, process.threads, (rank,))
    if files is not None:
        yield Reading(q.PROCESS_OPEN_FILES, files, (rank,))
    yield Reading(q.WORKER_MEMORY, sum(worker.resident_bytes for worker in workers), (rank,))
    yield Reading(q.WORKERS, len(workers), (rank,))


def _launcher() -> int:
    """Return who started the ranks of this node; this process where it is the only one."""
    own, parent = os.getpid(), os.getppid()
    identity = _identity(own)
    return own if identity.rank is None or identity == _identity(parent) else parent


def _identity(pid: int) -> _Identity:
    environment = read_environment(pid)
    return _Identity(*map(environment.get, ("RANK", "LOCAL_RANK", "TORCHELASTIC_RUN_ID")))
