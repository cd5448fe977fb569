"""A job and the output of its pods as they come."""

import queue
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial

from trainingjob.adapters.kube import Cluster, Streams
from trainingjob.core import job as jobs
from trainingjob.core.job import Job
from trainingjob.core.merging import Cursor, Line, Merger, parse
from trainingjob.core.pods import Pod, Selection
from trainingjob.core.refusals import NotFoundError, UnavailableError
from trainingjob.errors import UserError

_POLL_SECONDS = 1.0
_TICK_SECONDS = 0.1
# After the end of a job: how long its pods may be silent before they are left.
_DRAIN_SECONDS = 15.0
_OUTAGE_SECONDS = 120.0
_JOIN_SECONDS = 2.0
_AT_ONCE = 1000
# To read the log of a pod that has ended.
_TRIES = 3


@dataclass(frozen=True, slots=True)
class Gone:
    """The job was deleted."""


@dataclass(frozen=True, slots=True)
class Outage:
    """The API server does not answer; it is tried again."""

    error: UserError


@dataclass(frozen=True, slots=True)
class Unread:
    """The output of a pod that has ended cannot be read: its node does not answer, mostly."""

    pod: Pod
    error: UserError


News = Job | Line | Gone | Outage | Unread


def changes(cluster: Cluster, name: str, streams: Streams) -> Iterator[Job | Gone | Outage]:
    """A job now and at each change, to its end; through outages of two minutes.

    Raises:
        UserError: there is no such job at the beginning, or what an outage ends with.
    """
    body = cluster.get(name)
    uid = jobs.read(body).uid
    last: Job | None = None
    outage_began: float | None = None
    while True:
        try:
            for one in cluster.changes(name, streams):
                outage_began = None
                job = None if one is None else jobs.read(one)
                # Another one of the same name is not this job.
                if job is None or job.uid != uid:
                    yield Gone()
                    return
                if job != last:
                    last = job
                    yield job
                if job.ended:
                    return
        except UnavailableError as error:
            outage_began = outage_began or time.monotonic()
            if time.monotonic() - outage_began > _OUTAGE_SECONDS:
                raise
            yield Outage(error)
            time.sleep(_POLL_SECONDS)


def follow(
    cluster: Cluster,
    name: str,
    selection: Selection | None = None,
    timeout_seconds: float | None = None,
) -> Iterator[News]:
    """A job's changes, and with a selection the output of its pods in order, to the end of both.

    Raises:
        TimeoutError: that is not reached in time.
        UserError: as for `changes`.
    """
    following = _Following(cluster, name, selection)
    try:
        yield from following.news(timeout_seconds)
    finally:
        following.end()


@dataclass
class _Following:
    """The threads behind `follow`, one for the job and one for each pod; all feed one queue."""

    cluster: Cluster
    name: str
    selection: Selection | None
    _ended: threading.Event = field(default_factory=threading.Event)
    _streams: Streams = field(default_factory=Streams)
    _threads: list[threading.Thread] = field(default_factory=list)
    _news: "queue.SimpleQueue[News | Exception | None]" = field(default_factory=queue.SimpleQueue)
    _readers: dict[str, threading.Thread] = field(default_factory=dict)
    _merger: Merger = field(default_factory=Merger)

    def news(self, timeout_seconds: float | None) -> Iterator[News]:
        """What the threads find; lines are held back a little, to be in order."""
        self._start(self._watch)
        began = last_line = time.monotonic()
        over_at: float | None = None
        next_look = began
        job: Job | None = None
        while over_at is None or not self._read_out(over_at, last_line):
            now = time.monotonic()
            if timeout_seconds is not None and now - began > timeout_seconds:
                raise TimeoutError(f"{self.name} has not ended within {timeout_seconds:g} s")
            for one in self._arrived():
                if one is None:
                    over_at = now
                elif isinstance(one, Exception):
                    raise one
                elif isinstance(one, Line):
                    last_line = now
                    self._merger.add(one, now)
                else:
                    job = one if isinstance(one, Job) else job
                    yield one
            yield from self._merger.take(now)
            if job is not None and self.selection is not None and now >= next_look:
                next_look = now + _POLL_SECONDS
                self._look_for_pods(job, self.selection)
        yield from self._merger.rest()

    def end(self) -> None:
        """Let the threads end, which is done at once but for one that waits to be connected."""
        self._ended.set()
        self._streams.stop()
        for thread in self._threads:
            thread.join(_JOIN_SECONDS)

    def _arrived(self) -> Iterator[News | Exception | None]:
        """What has come; waits a moment for it."""
        try:
            yield self._news.get(timeout=_TICK_SECONDS)
            # Not without end: what has come is to be shown, too.
            for _ in range(_AT_ONCE):
                yield self._news.get_nowait()
        except queue.Empty:
            return

    def _read_out(self, over_at: float, last_line: float) -> bool:
        """Whether the readers have come to the end of what the pods wrote."""
        now = time.monotonic()
        if now - max(over_at, last_line) > _DRAIN_SECONDS:
            return True
        # A pod may have begun since the last look.
        looked = now - over_at > 2 * _POLL_SECONDS or self.selection is None
        reading = any(thread.is_alive() for thread in self._readers.values())
        return looked and not reading and self._news.empty()

    def _watch(self) -> None:
        try:
            for one in changes(self.cluster, self.name, self._streams):
                if self._ended.is_set():
                    return
                self._news.put(one)
        except Exception as error:  # noqa: BLE001 - `news` raises it, in the caller's thread
            self._news.put(error)
        self._news.put(None)

    def _look_for_pods(self, job: Job, selection: Selection) -> None:
        try:
            pods = selection.of(self.cluster.pods(job.uid))
        except UnavailableError:
            # The watch of the job reports the outage.
            return
        for pod in pods:
            if pod.has_log and pod.uid not in self._readers:
                self._readers[pod.uid] = self._start(partial(self._read, pod, job.uid))

    def _read(self, pod: Pod, uid: str) -> None:
        """Read a pod's log to its end, again from where it was when the connection breaks."""
        cursor, failed = Cursor(), 0
        while not self._ended.is_set():
            # Asked before reading: what an ended pod has written is all there.
            over = self._pod_ended(pod, uid)
            cursor.begin()
            try:
                follow = None if over else self._streams
                for raw in self.cluster.log(pod, cursor.since, follow):
                    line = parse(raw, pod.attempt, pod.rank)
                    if line is not None and cursor.is_new(line):
                        self._news.put(line)
                    if self._ended.is_set():
                        return
            except UnavailableError as error:
                failed += 1
                if over and failed >= _TRIES:
                    self._news.put(Unread(pod, error))
                    return
                over = False
            except Exception as error:  # noqa: BLE001 - as above
                self._news.put(error)
                return
            if over:
                return
            self._ended.wait(_POLL_SECONDS)

    def _pod_ended(self, pod: Pod, uid: str) -> bool:
        try:
            return all(one.ended for one in self.cluster.pods(uid) if one.uid == pod.uid)
        except UnavailableError:
            return False

    def _start(self, run: Callable[[], None]) -> threading.Thread:
        thread = threading.Thread(target=run, name=f"tj follows {self.name}", daemon=True)
        self._threads.append(thread)
        thread.start()
        return thread


def wait(cluster: Cluster, name: str, timeout_seconds: float | None = None) -> Job:
    """The job at its end.

    Raises:
        TimeoutError: it has not ended in time.
        UserError: it was deleted, or the API server does not answer.
    """
    last: Job | None = None
    for one in follow(cluster, name, timeout_seconds=timeout_seconds):
        last = one if isinstance(one, Job) else last
    if last is None or not last.ended:
        raise NotFoundError(f"{name} was deleted before its end", "its run is KILLED")
    return last
