"""The output of a job: from its pods, merged by time, or from the run when they are gone."""

import heapq
from collections.abc import Callable, Collection, Iterator
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

    A node whose pod is gone is read from the run, where a line has no time: before the others.

    Raises:
        UserError: the API server or MLflow does not answer, or refuses.
    """
    pods = selection.of(cluster.pods(job.uid))
    for attempt in _attempts(job, pods, selection):
        here = [pod for pod in pods if pod.attempt == attempt]
        yield from _of_gone_pods(job, attempt, here, selection, kept)
        streams = (_lines(cluster, pod) for pod in here if pod.has_log)
        yield from heapq.merge(*streams, key=_time)


def of_gone_pods(
    cluster: Cluster, job: Job, selection: Selection, kept: Kept = KeptRun
) -> Iterator[Line]:
    """What the run keeps of nodes whose pods are gone, attempt by attempt.

    Raises:
        UserError: as above.
    """
    pods = selection.of(cluster.pods(job.uid))
    for attempt in _attempts(job, pods, selection):
        here = [pod for pod in pods if pod.attempt == attempt]
        yield from _of_gone_pods(job, attempt, here, selection, kept)


def _time(line: Line) -> int:
    return line.time


def _attempts(job: Job, pods: list[Pod], selection: Selection) -> list[int]:
    known = {one.number for one in job.attempts} | {pod.attempt for pod in pods}
    known |= set(range(1, job.attempt + 1))
    return sorted(one for one in known if selection.attempt in (None, one))


def _of_gone_pods(
    job: Job, attempt: int, here: list[Pod], selection: Selection, kept: Kept
) -> Iterator[Line]:
    """Nothing of an attempt that goes on: not all of its pods may be there yet."""
    ranks = {pod.rank for pod in here}
    if job.run_id and _is_over(job, attempt) and ranks < _ranks(job, attempt, selection):
        files = kept(job.run_id, job.tracking_uri)
        yield from _kept(files, attempt, selection, ranks)


def _is_over(job: Job, attempt: int) -> bool:
    ended = {one.number for one in job.attempts if one.outcome}
    return job.ended or attempt < job.attempt or attempt in ended


def _ranks(job: Job, attempt: int, selection: Selection) -> set[int]:
    return {rank for rank in range(job.num_nodes) if selection.includes(attempt, rank)}


def _lines(cluster: Cluster, pod: Pod) -> Iterator[Line]:
    for raw in cluster.log(pod):
        line = parse(raw, pod.attempt, pod.rank)
        if line is not None:
            yield line


def _kept(
    files: Files, attempt: int, selection: Selection, others: Collection[int]
) -> Iterator[Line]:
    """What the run keeps of an attempt, but for the ranks `others`."""
    paths = {_rank(path): path for path in files.names(wire.log_folder(attempt))}
    for rank in sorted(rank for rank in paths if rank is not None and rank not in others):
        if selection.includes(attempt, rank):
            yield from (Line(0, attempt, rank, text) for text in files.lines(paths[rank]))


def _rank(path: str) -> int | None:
    """The node rank of `logs/attempt-1/node-0.txt`."""
    number = path.rpartition("node-")[2].removesuffix(".txt")
    return int(number) if number.isascii() and number.isdigit() else None
