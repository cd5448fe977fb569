"""What the processes of a script log, on its way into the spool of the process beside them."""

from __future__ import annotations

import errno
import functools
import logging
import os
import threading
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

from trainingjob_agent.delivery.batch import Batch
from trainingjob_agent.delivery.records import MAGIC, decode_record, encode_record, scan_from
from trainingjob_agent.delivery.segments import Segment

_SEGMENT_BYTES = 1 << 20
_MAX_BYTES = 512 << 20

_logger = logging.getLogger(__name__)


class Outbox:
    """The files of one process, in a directory that all processes of a script share.

    An append is one write: it survives the death of the process, and never waits.
    """

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._forget()
        os.register_at_fork(after_in_child=self._forget)

    def append(self, batch: Batch) -> None:
        """Store one batch as the last of this process.

        Raises:
            OSError: the disk does not take it, or nobody has collected 512 MB.
        """
        record = encode_record(batch.to_bytes(), len(batch.points))
        with self._lock:
            segment = self._segment_to_append_to()
            try:
                segment.append(record)
            except OSError:
                # What follows a torn record cannot be found: the next one opens a new file.
                self._close()
                raise

    def _forget(self) -> None:
        """Begin anew; a forked process has files and a lock of its own."""
        self._lock = threading.Lock()
        self._segment: Segment | None = None
        self._sequence = 0

    def _segment_to_append_to(self) -> Segment:
        if self._segment is not None and self._segment.size < _SEGMENT_BYTES:
            return self._segment
        self._close()
        if sum(map(_size, self._directory.iterdir())) > _MAX_BYTES:
            raise OSError(errno.EDQUOT, "too much waits to be collected", str(self._directory))
        while self._segment is None:
            self._sequence += 1
            name = f"{os.getpid()}-{self._sequence:010d}.spool"
            try:
                self._segment = Segment(self._directory / name)
            except FileExistsError:
                continue  # of an earlier process that had the same id
        return self._segment

    def _close(self) -> None:
        if self._segment is not None:
            self._segment.close()
            self._segment = None


@functools.lru_cache(maxsize=None)
def outbox_of_process(directory: Path) -> Outbox:
    """Return the one outbox that this process has there.

    Of two, each would take part in the other's order: `Intake` deletes all files of a process but
    the newest.
    """
    return Outbox(directory)


class Intake:
    """Collects what the outboxes of a directory hold. For one thread."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._offsets: dict[Path, int] = {}

    def take(self) -> Iterator[Batch]:
        """Yield what was appended since the last time, in the order of each process.

        A file is deleted when all of it was taken and nobody appends to it any more.

        Raises:
            OSError: the directory cannot be read now; what was not yielded comes the next time.
        """
        for process, paths in self._files().items():
            # Asked before the files are read: a process that ends now may have appended since.
            ended = not _lives(process)
            for path in paths:
                yield from self._read(path)
                if ended or path != paths[-1]:
                    path.unlink(missing_ok=True)
                    self._offsets.pop(path, None)

    def _files(self) -> dict[int, list[Path]]:
        """List the files of each process, oldest first."""
        files = defaultdict(list)
        for path in sorted(self._directory.glob("*.spool")):
            files[int(path.name.partition("-")[0])].append(path)
        return files

    def _read(self, path: Path) -> Iterator[Batch]:
        offset = self._offsets.get(path, 0)
        if path.stat().st_size <= max(offset, len(MAGIC)):
            return
        with path.open("rb") as file:
            file.seek(offset)
            data = file.read()
        for record in scan_from(data, 0 if offset else len(MAGIC)):
            end = record.offset + record.length
            self._offsets[path] = offset + end
            try:
                batch = Batch.from_bytes(decode_record(data[record.offset : end]))
            except (ValueError, TypeError):
                # Of another release of this package, in the environment of the script.
                _logger.exception("%d metric points are lost", record.points)
            else:
                yield batch


def _size(file: Path) -> int:
    try:
        return file.stat().st_size
    except FileNotFoundError:
        return 0  # it has been collected just now


def _lives(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
