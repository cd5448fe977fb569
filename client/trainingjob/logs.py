"""The output of a job: from its pods, merged by time, or from the run when they are gone."""

import heapq
from collections.abc import Callable, Iterator
from typing import Protocol

from trainingjob.adapters.kube import Cluster
from trainingjob.adapters.tracking import KeptRun
from trainingjob.core import wire
from trainingjob.core.job import Job
from trainingjob.core.merging import Line, parse
from trainingjob.core.pods import Pod, Selection


class Files(Protocol):
    """The files that a run keeps."""

    def names(self, folder: str) -> list[str]:
        """Paths of the files directly in a folder."""
        ...

    def lines(self, path: str) -> Iterator[str]:
        """The lines of a text file."""
        ...


Kept = Callable[[str, str | None], Files]
"""Gives the files of a run by its id and the address of its server."""


def read(cluster: Cluster, job: Job, selection: Selection, kept: Kept = KeptRun) -> Iterator[Line]:
    """The lines that are there now, attempt by attempt.

    An attempt without pods is read from the run, where a line has no time: node by node.

    Raises:
        UserError: the API server or MLflow does not answer, or refuses.
    """
    pods = selection.of(pod for pod in cluster.pods(job.uid) if pod.has_log)
    for attempt in _attempts(job, pods, selection):
        here = [pod for pod in pods if pod.attempt == attempt]
        if here:
            yield from heapq.merge(*(_lines(cluster, pod) for pod in here), key=_time)
        elif job.run_id:
            yield from _kept(kept(job.run_id, job.tracking_uri), attempt, selection)


def _time(line: Line) -> int:
    return line.time


def _attempts(job: Job, pods: list[Pod], selection: Selection) -> list[int]:
    known = {one.number for one in job.attempts} | {pod.attempt for pod in pods}
    known |= set(range(1, job.attempt + 1))
    return sorted(one for one in known if selection.attempt in (None, one))


def _lines(cluster: Cluster, pod: Pod) -> Iterator[Line]:
    for raw in cluster.log(pod):
        line = parse(raw, pod.attempt, pod.rank)
        if line is not None:
            yield line


def _kept(files: Files, attempt: int, selection: Selection) -> Iterator[Line]:
    ranks = {_rank(path): path for path in files.names(wire.log_folder(attempt))}
    for rank in sorted(rank for rank in ranks if rank is not None):
        if selection.includes(attempt, rank):
            yield from (Line(0, attempt, rank, text) for text in files.lines(ranks[rank]))


def _rank(path: str) -> int | None:
    """The node rank of `logs/attempt-1/node-0.txt`."""
    number = path.rpartition("node-")[2].removesuffix(".txt")
    return int(number) if number.isascii() and number.isdigit() else None
