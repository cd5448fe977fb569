"""Files that are there whole or not at all, with a checksum."""

import os
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

_READ_BYTES = 2**20


@dataclass(frozen=True, slots=True)
class Digest:
    """What a file has to be: against accidents, for who can write the file can write this."""

    crc32: int
    bytes: int


class HashingFile:
    """Passes on what is written, and digests it.

    To read the file again for that costs the training more than the checksum itself.
    """

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._crc32 = 0
        self._bytes = 0

    def write(self, data: Any) -> int:
        """Write all of `data`, a buffer of bytes; return its size."""
        view = memoryview(data).cast("B")
        self._crc32 = zlib.crc32(view, self._crc32)
        self._bytes += len(view)
        return self._file.write(view)

    def flush(self) -> None:
        """Hand what is buffered to the operating system."""
        self._file.flush()

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def tell(self) -> int:
        """Return the bytes that were written."""
        return self._bytes

    def fileno(self) -> int:
        """Return the descriptor of the file, for `os.fsync`."""
        return self._file.fileno()

    def digest(self) -> Digest:
        """Return the digest of what was written."""
        return Digest(self._crc32, self._bytes)


def write_atomically(path: Path, write: Callable[[Any], None]) -> Digest:
    """Let `write` fill a file; it appears at `path` once it is on the disk.

    Raises:
        OSError: the disk is full, say. Then `path` is as it was.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        with unfinished.open("wb") as file:
            hashing = HashingFile(file)
            write(hashing)
            file.flush()
            os.fsync(file.fileno())
        unfinished.replace(path)
    finally:
        unfinished.unlink(missing_ok=True)
    sync_directory(path.parent)
    return hashing.digest()


def sync_directory(path: Path) -> None:
    """Make the names in a directory last through a crash of the machine."""
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def digest_of(path: Path) -> Digest:
    """Read the file.

    Raises:
        OSError: it is not there, or cannot be read.
    """
    crc32 = 0
    buffer = memoryview(bytearray(_READ_BYTES))
    with path.open("rb", buffering=0) as file:
        while size := file.readinto(buffer):
            crc32 = zlib.crc32(buffer[:size], crc32)
        return Digest(crc32, file.tell())
