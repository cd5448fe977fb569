"""The format of a spool segment: framed records with a checksum. Pure."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator
from typing import NamedTuple

MAGIC = b"TJSPOOL1"
"""First bytes of a segment; the digit is the version of the format."""

_HEADER = struct.Struct("<III")  # bytes of the body, points in it, CRC-32 of both and the body
_COUNTS = struct.Struct("<II")


class Record(NamedTuple):
    """Where a record lies in its segment: `offset` and `length` in bytes, header included."""

    offset: int
    length: int
    points: int


def encode_record(body: bytes, points: int) -> bytes:
    """Frame a body that holds `points` metric points."""
    return _HEADER.pack(len(body), points, _checksum(body, points)) + body


def decode_record(data: bytes) -> bytes:
    """Return the body of one whole record.

    Raises:
        ValueError: the record is not what was written.
    """
    body = _body(data, 0)
    if body is None:
        raise ValueError("a record of the spool has changed since it was written")
    return body


def scan(data: bytes) -> Iterator[Record]:
    """Yield the records of a segment up to the first that is torn or damaged."""
    if data.startswith(MAGIC):
        yield from scan_from(data, len(MAGIC))


def scan_from(data: bytes, offset: int) -> Iterator[Record]:
    """Yield the records that begin at `offset`, up to the first that is torn or damaged."""
    while (body := _body(data, offset)) is not None:
        length = _HEADER.size + len(body)
        yield Record(offset, length, _HEADER.unpack_from(data, offset)[1])
        offset += length


def _body(data: bytes, offset: int) -> bytes | None:
    if offset + _HEADER.size > len(data):
        return None
    length, points, checksum = _HEADER.unpack_from(data, offset)
    begin = offset + _HEADER.size
    body = data[begin : begin + length]
    if len(body) != length or _checksum(body, points) != checksum:
        return None
    return body


def _checksum(body: bytes, points: int) -> int:
    return zlib.crc32(body, zlib.crc32(_COUNTS.pack(len(body), points)))
