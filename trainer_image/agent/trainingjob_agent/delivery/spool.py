"""Keeps what waits for MLflow on disk, in order, until it is delivered."""

import errno
import logging
import shutil
import tempfile
import threading
import time
from collections import Counter, deque
from collections.abc import Iterable
from itertools import islice
from pathlib import Path
from typing import BinaryIO

import prometheus_client as metrics

from trainingjob_agent.contract import Contract
from trainingjob_agent.delivery import segments
from trainingjob_agent.delivery.batch import Batch
from trainingjob_agent.delivery.frame import Frame
from trainingjob_agent.delivery.records import Record, encode_record

_DIRECTORY = "mlflow-spool"
_SEGMENT_BYTES = 1 << 20
_SMALL_SEGMENT_BYTES = 1 << 16
"""A segment that is delivered whole is given up from this size on: a restart repeats little."""
_MAX_DISK_BYTES = 512 << 20
_MAX_MEMORY_BYTES = 16 << 20
_SYNC_SECONDS = 5.0

_logger = logging.getLogger(__name__)


class Spool:
    """A queue of batches on disk. One thread appends, another one takes; any may ask.

    Every batch is written before it is sent (a write, no fsync: it survives SIGKILL). What waits
    for more than 5 s is synced every 5 s, and so is what is left at the end: it survives the node.
    """

    def __init__(
        self, directory: Path | None = None, *, node_rank: int = 0, num_nodes: int = 1
    ) -> None:
        """Prepare; nothing is touched before `open`.

        Args:
            directory: outlives this process; None for one that does not.
            node_rank: whose segments these are.
            num_nodes: of this attempt; what nodes beyond it left is shared among these.
        """
        self.directory = directory
        self._node_rank = node_rank
        self._num_nodes = num_nodes
        self._sequence = 0
        self._frames: deque[Frame] = deque()
        self._in_segment: Counter[Path] = Counter()
        self._index = threading.Lock()
        self._active: segments.Segment | None = None
        self._unsynced = False
        self._synced_seconds = 0.0
        self._disk_refuses = False
        self._place: Path | None = None
        self._lock: BinaryIO | None = None
        self.points = 0
        self.disk_bytes = 0
        self._memory_bytes = 0
        self._memory_points = 0
        self.dropped = metrics.Counter(
            "trainingjob_mlflow_points_dropped",
            "Metric points given up: refused by MLflow, too many, or left at the end",
            registry=None,
        )

    @classmethod
    def of(cls, contract: Contract) -> "Spool":
        """Return the spool of this node of the job: on the checkpoint volume if there is one."""
        identity = contract.uid or contract.run_id
        directory = None
        if contract.checkpoint_dir is not None and identity is not None:
            directory = contract.checkpoint_dir / _DIRECTORY / identity
        return cls(directory, node_rank=contract.node_rank, num_nodes=contract.num_nodes)

    @property
    def survives(self) -> bool:
        """Whether a later attempt will find what is left."""
        return self.directory is not None

    @property
    def kept_points(self) -> int:
        """Points that wait and that a later attempt would find."""
        return self.points - self._memory_points if self.survives else 0

    def open(self) -> None:
        """Take over what earlier attempts left; without a usable directory, a temporary one."""
        if self.directory is not None:
            try:
                self.directory.mkdir(parents=True, exist_ok=True)
                self._lock = segments.lock(self.directory / f"node-{self._node_rank:04d}.lock")
                if self._lock is not None:
                    self._take_over(self.directory)
                    self._place = self.directory
                    return
                _logger.warning("%s is in use by another process", self.directory)
            except OSError as error:
                _logger.warning("no spool in %s: %s", self.directory, error)
            self.directory = None
        try:
            self._place = Path(tempfile.mkdtemp(prefix="trainingjob-spool-"))
        except OSError as error:
            self._disk_fails(error)

    def append(self, batch: Batch, patience_seconds: float = 0.0) -> None:
        """Store one batch as the last; never raises for the disk's sake.

        Args:
            batch: what to store.
            patience_seconds: how long nobody waits for it; it may be sent before.
        """
        wanted_seconds = time.monotonic() + patience_seconds
        body = batch.to_bytes()
        points = len(batch.points)
        encoded = encode_record(body, points)
        try:
            segment = self._segment()
            record = Record(segment.append(encoded), len(encoded), points)
        except OSError as error:
            self._disk_fails(error)
            # What follows a torn record cannot be found again: the next one opens a new file.
            self._give_up_active()
            self._add(Frame(points, len(body), None, None, body, wanted_seconds))
            return
        if self._disk_refuses:
            _logger.info("the spool can be written again")
            self._disk_refuses = False
        self._unsynced = True
        self._add(Frame(points, len(encoded), segment.path, record, None, wanted_seconds))

    def sync_if_due(self) -> None:
        """Sync if something waits for long, and the last sync is not of just now."""
        now = time.monotonic()
        with self._index:
            waits = bool(self._frames) and now - self._frames[0].wanted_seconds > _SYNC_SECONDS
        if waits and now - self._synced_seconds > _SYNC_SECONDS:
            self.sync()

    def sync(self) -> None:
        """Have the disk store all that was appended."""
        if self._active is None or not self._unsynced or not self.survives:
            return
        try:
            self._active.sync()
        except OSError as error:
            self._disk_fails(error)
        self._unsynced = False
        self._synced_seconds = time.monotonic()

    def first(self, count: int) -> list[Frame]:
        """Return the first frames, at most `count`; they stay until they are done."""
        with self._index:
            return list(islice(self._frames, count))

    def done(self, frames: Iterable[Frame]) -> None:
        """Forget the first frames: they are delivered, or given up."""
        with self._index:
            paths = [self._forget_first() for frame in frames if self._is_first(frame)]
        self._remove_empty(paths)

    def close(self) -> None:
        """Delete the files when nothing is left, or when nobody could find them."""
        if self._active is not None:
            self._active.close()
        if self._place is not None and not self.survives:
            shutil.rmtree(self._place, ignore_errors=True)
        elif self._place is not None and not self._frames:
            self._delete_all(self._place)
        if self._lock is not None:
            self._lock.close()

    def _take_over(self, directory: Path) -> None:
        names = segments.segments_in(directory, self._node_rank, self._num_nodes)
        for name in names:
            path = directory / str(name)
            records = list(segments.recover(path))
            for record in records:
                self._add(Frame(record.points, record.length, path, record, wanted_seconds=0.0))
            if not records:
                path.unlink()
        own = [name.sequence for name in names if name.node_rank == self._node_rank]
        self._sequence = max(own, default=0)
        if self._frames:
            _logger.info("delivering %d metric points of an earlier attempt", self.points)

    def _segment(self) -> segments.Segment:
        """Return the file to append to; a new one when the last is full, or is done with."""
        active = self._active
        if active is not None:
            with self._index:
                used = active.path in self._in_segment
            if active.size < (_SEGMENT_BYTES if used else _SMALL_SEGMENT_BYTES):
                return active
            self._give_up_active()
        if self._place is None:
            raise OSError(errno.ENOENT, "there is no directory for it")
        self._sequence += 1
        name = segments.SegmentName(self._node_rank, self._sequence)
        self._active = segments.Segment(self._place / str(name))
        return self._active

    def _give_up_active(self) -> None:
        active = self._active
        if active is not None:
            self.sync()
            active.close()
            self._active = None
            self._remove_empty([active.path])

    def _add(self, frame: Frame) -> None:
        with self._index:
            self._frames.append(frame)
            self._count(frame, 1)
            paths = []
            while self.disk_bytes > _MAX_DISK_BYTES or self._memory_bytes > _MAX_MEMORY_BYTES:
                self.dropped.inc(self._frames[0].points)
                paths.append(self._forget_first())
        self._remove_empty(paths)

    def _is_first(self, frame: Frame) -> bool:
        return bool(self._frames) and self._frames[0] is frame

    def _forget_first(self) -> Path | None:
        frame = self._frames.popleft()
        self._count(frame, -1)
        return frame.path

    def _count(self, frame: Frame, sign: int) -> None:
        self.points += sign * frame.points
        if frame.path is None:
            self._memory_bytes += sign * frame.size
            self._memory_points += sign * frame.points
            return
        self.disk_bytes += sign * frame.size
        self._in_segment[frame.path] += sign
        if not self._in_segment[frame.path]:
            del self._in_segment[frame.path]

    def _remove_empty(self, paths: Iterable[Path | None]) -> None:
        """Delete the segments in which nothing waits any more, but for the one under way."""
        for path in {path for path in paths if path is not None}:
            with self._index:
                active = self._active
                if path in self._in_segment or (active is not None and active.path == path):
                    continue
            try:
                path.unlink(missing_ok=True)
            except OSError as error:
                _logger.warning("cannot delete the delivered %s: %s", path, error)

    def _delete_all(self, place: Path) -> None:
        """Delete our own traces, and the directories if nobody else has something in them."""
        paths = [place / f"node-{self._node_rank:04d}.lock"]
        if self._active is not None:
            paths.append(self._active.path)
        try:
            for path in paths:
                path.unlink(missing_ok=True)
            for directory in (place, place.parent):
                directory.rmdir()
        except OSError as error:
            # Most of all because another node's files are there.
            _logger.debug("the spool's directory stays: %s", error)

    def _disk_fails(self, error: OSError) -> None:
        if not self._disk_refuses:
            _logger.warning("the spool cannot be written, keeping metrics in memory: %s", error)
        self._disk_refuses = True
