"""The files of one spool: listing them and their nodes, appending and reading."""

from __future__ import annotations

import fcntl
import logging
import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from trainingjob_agent.delivery.records import MAGIC, Record, decode_record, scan

_NAME = re.compile(r"node-(\d+)-(\d+)\.spool")

_logger = logging.getLogger(__name__)


@dataclass(frozen=True, order=True)
class SegmentName:
    """Names sort in the order of writing, for each node."""

    node_rank: int
    sequence: int

    def __str__(self) -> str:
        return f"node-{self.node_rank:04d}-{self.sequence:010d}.spool"


class Segment:
    """The file under way; append-only."""

    def __init__(self, path: Path) -> None:
        """Create the file.

        Raises:
            OSError: the directory cannot be written.
        """
        self.path = path
        self._file = path.open("xb", buffering=0)
        try:
            self._write(MAGIC)
        except OSError:
            self.close()
            path.unlink(missing_ok=True)
            raise
        self.size = len(MAGIC)

    def append(self, record: bytes) -> int:
        """Append one record and return its offset. It survives the death of this process.

        Raises:
            OSError: the disk refuses it, and the file may end in half a record.
        """
        offset = self.size
        self._write(record)
        self.size += len(record)
        return offset

    def sync(self) -> None:
        """Have the disk store it: it then survives the death of the node (fdatasync)."""
        os.fdatasync(self._file.fileno())

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def _write(self, data: bytes) -> None:
        view = memoryview(data)
        while view:
            view = view[self._file.write(view) or 0 :]


def segments_in(directory: Path, node_rank: int, num_nodes: int) -> list[SegmentName]:
    """List the segments that this node is to deliver, oldest first.

    They are its own, and those of nodes that this attempt does not have.
    """
    found = [
        SegmentName(int(match[1]), int(match[2]))
        for entry in directory.iterdir()
        if (match := _NAME.fullmatch(entry.name))
    ]
    return sorted(name for name in found if name.node_rank % num_nodes == node_rank)


def recover(path: Path) -> Iterator[Record]:
    """Yield the whole records of a segment that an earlier process left; cut off a torn tail."""
    data = path.read_bytes()
    end = len(MAGIC)
    for record in scan(data):
        end = record.offset + record.length
        yield record
    if end < len(data):
        _logger.warning("%s: the last %d bytes were never whole: cut off", path, len(data) - end)
        os.truncate(path, end)


def read(path: Path, record: Record) -> bytes:
    """Return the body of one record.

    Raises:
        OSError, ValueError: it cannot be read, or has changed.
    """
    with path.open("rb") as file:
        file.seek(record.offset)
        return decode_record(file.read(record.length))


def lock(path: Path) -> BinaryIO | None:
    """Take the lock of a node's segments until the file is closed; None if another has it."""
    file = path.open("ab")
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        file.close()
        return None
    except OSError as error:
        _logger.info("%s: this file system has no locks (%s); going on without", path, error)
    return file
