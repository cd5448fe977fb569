"""The processes of this node's ranks."""

import os
from collections.abc import Iterator, Mapping

import psutil

from trainingjob_agent.monitor import quantities as q
from trainingjob_agent.monitor.quantity import Reading
from trainingjob_agent.place import place_of, rank_of


def local_ranks(
    environment: Mapping[str, str] = os.environ,
) -> Iterator[tuple[str, psutil.Process]]:
    """Yield this rank and its siblings under the same torchrun, those that live."""
    own = environment.get("RANK", "0")
    yield own, psutil.Process()
    parent = psutil.Process().parent()
    for process in [] if parent is None or "RANK" not in environment else parent.children():
        rank = _rank_of(process)
        if rank is not None and rank != own:
            yield rank, process


class ProcessReader:
    """Memory, threads and open files of this rank and of its siblings under the same torchrun."""

    def __init__(self, environment: Mapping[str, str] = os.environ) -> None:
        self._environment = environment
        self._expected = int(environment.get("LOCAL_WORLD_SIZE", "1"))
        self._ranks: dict[str, psutil.Process] = {}

    def read(self) -> list[Reading]:
        """Read all ranks; one that ended is left out."""
        if len(self._ranks) < self._expected:
            for rank, process in local_ranks(self._environment):
                self._ranks.setdefault(rank, process)
        return [r for rank, process in self._ranks.items() for r in _read_one(rank, process)]


class ScriptProcessReader:
    """Memory, threads and open files of a script: of its ranks, or of itself where it is one."""

    def __init__(self, pid: int, environment: Mapping[str, str] = os.environ) -> None:
        self._script = psutil.Process(pid)
        self._place = place_of(environment)
        self._own_rank = str(rank_of(environment) or 0)
        self._known: dict[psutil.Process, str | None] = {}

    def read(self) -> list[Reading]:
        """Read the first process of each rank; what it started in turn is left out."""
        try:
            children = self._script.children(recursive=True)
        except psutil.NoSuchProcess:
            return []
        # A process is asked for its environment once; parents come before their children.
        self._known = {
            one: self._known[one] if one in self._known else self._launched_as(one)
            for one in children
        }
        ranks: dict[str, psutil.Process] = {}
        for process, rank in self._known.items():
            if rank is not None:
                ranks.setdefault(rank, process)
        ranks = ranks or {self._own_rank: self._script}
        return [r for rank, process in ranks.items() for r in _read_one(rank, process)]

    def _launched_as(self, process: psutil.Process) -> str | None:
        """Return the rank that a launcher gave a process; the pod's own is that of the script."""
        try:
            environment = process.environ()
        except (psutil.NoSuchProcess, psutil.AccessDenied):
            return None  # it ended just now, or is not ours to look into: no rank of this job
        rank = rank_of(environment)
        return None if rank is None or place_of(environment) == self._place else str(rank)


def _rank_of(process: psutil.Process) -> str | None:
    try:
        return process.environ().get("RANK")
    except (psutil.NoSuchProcess, psutil.AccessDenied):
        return None


def _read_one(rank: str, process: psutil.Process) -> Iterator[Reading]:
    try:
        with process.oneshot():
            memory, threads = process.memory_info().rss, process.num_threads()
            files = process.num_fds()
    except psutil.NoSuchProcess:
        return
    yield Reading(q.PROCESS_MEMORY, memory, (rank,))
    yield Reading(q.PROCESS_THREADS, threads, (rank,))
    yield Reading(q.PROCESS_OPEN_FILES, files, (rank,))
