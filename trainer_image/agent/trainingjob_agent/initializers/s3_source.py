"""An object of S3, or all objects below a prefix, in pieces and several at a time."""

import os
import re
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from trainingjob_agent.initializers.errors import (
    DataAccessDeniedError,
    DataError,
    DataNotFoundError,
    DataUnavailableError,
)
from trainingjob_agent.initializers.progress import Progress

if TYPE_CHECKING:
    from obstore import GetOptions
    from obstore.store import ClientConfig, RetryConfig, S3Store

_PIECE_BYTES = 8 << 20
_STREAMS = 8
"""As many pieces are in memory at a time."""
_RETRIES: "RetryConfig" = {"max_retries": 2, "retry_timeout": timedelta(seconds=30)}
"""Only what passes in seconds: after that the volume is filled with patience, and says why not."""
_OPTIONS: "ClientConfig" = {"allow_http": True}
"""Where the endpoint is one of http://; it is not taken otherwise."""
_DETAILS = "\n\nDebug source"
_STATUS = re.compile(r"status code: (\d+)")
_KINDS = {401: DataAccessDeniedError, 403: DataAccessDeniedError, 404: DataNotFoundError}
_PASSES = (408, 429)
_OTHER_REGION = "redirect without LOCATION"
_CERTIFICATES = "SSL_CERT_FILE"


@dataclass(frozen=True)
class _Piece:
    path: str
    e_tag: str | None
    file: Path
    start: int
    end: int


class S3Source:
    """`s3://BUCKET/KEY` or `s3://BUCKET/PREFIX/`; login and endpoint by the variables of AWS."""

    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        self._bucket, self._key = parts.netloc, parts.path.lstrip("/")
        self._done: set[_Piece] = set()

    def fetch(self, place: Path, progress: Progress) -> None:
        """Fetch what is missing, with one try.

        Raises:
            DataError: not all of it is there.
            OSError: a file cannot be written.
        """
        from obstore.store import S3Store

        # The image has no certificates but those of certifi.
        if _CERTIFICATES not in os.environ:
            import certifi

            os.environ[_CERTIFICATES] = certifi.where()
        with _explained():
            store = S3Store(self._bucket, client_options=_OPTIONS, retry_config=_RETRIES)
            pieces = list(self._pieces(store, place))
        progress.total = sum(piece.end - piece.start for piece in pieces)

        def fetch_one(piece: _Piece) -> None:
            _fetch(store, piece)
            self._done.add(piece)
            progress.add(piece.end - piece.start)

        pool = ThreadPoolExecutor(_STREAMS)
        try:
            for _ in pool.map(fetch_one, (one for one in pieces if one not in self._done)):
                pass
        finally:
            pool.shutdown(cancel_futures=True)

    def _pieces(self, store: "S3Store", place: Path) -> Iterator[_Piece]:
        for path, name, size, e_tag in self._objects(store):
            file = place / name
            file.parent.mkdir(parents=True, exist_ok=True)
            file.touch()
            for start in range(0, size, _PIECE_BYTES):
                yield _Piece(path, e_tag, file, start, min(start + _PIECE_BYTES, size))

    def _objects(self, store: "S3Store") -> list[tuple[str, str, int, str | None]]:
        """The objects: key, name in the volume, size in bytes, ETag."""
        import obstore

        if self._key and not self._key.endswith("/"):
            try:
                one = obstore.head(store, self._key)
            except FileNotFoundError:
                pass
            else:
                return [(one["path"], PurePosixPath(self._key).name, one["size"], one["e_tag"])]
        prefix = self._key.rstrip("/")
        found = [one for page in obstore.list(store, prefix or None) for one in page]
        folders = {str(parent) for one in found for parent in PurePosixPath(one["path"]).parents}
        objects = [
            (one["path"], _below(prefix, one["path"]), one["size"], one["e_tag"])
            for one in found
            # Some programs make an empty object for each folder.
            if one["path"] not in folders and one["path"] != prefix
        ]
        if not objects:
            raise DataNotFoundError(f"the bucket {self._bucket} has no object {self._key}")
        return objects


def _below(prefix: str, path: str) -> str:
    name = PurePosixPath(path).relative_to(prefix)
    if ".." in name.parts:
        raise DataError(f"the object {path} has a name that leaves its folder")
    return str(name)


def _fetch(store: "S3Store", piece: _Piece) -> None:
    import obstore

    options: GetOptions = {"range": (piece.start, piece.end)}
    if piece.e_tag:
        options["if_match"] = piece.e_tag
    with _explained():
        content = memoryview(obstore.get(store, piece.path, options=options).bytes())
    if len(content) != piece.end - piece.start:
        raise DataUnavailableError(f"{len(content)} bytes of a piece of {piece.path} came")
    descriptor = os.open(piece.file, os.O_WRONLY)
    try:
        written = 0
        while written < len(content):
            written += os.pwrite(descriptor, content[written:], piece.start + written)
    finally:
        os.close(descriptor)


@contextmanager
def _explained() -> Iterator[None]:
    """Raise errors of the store as those by which a job's status goes."""
    from obstore import exceptions

    try:
        yield
    except FileNotFoundError as error:
        raise DataNotFoundError(_text(error)) from error
    except (exceptions.PermissionDeniedError, exceptions.UnauthenticatedError) as error:
        raise DataAccessDeniedError(_text(error)) from error
    except exceptions.GenericError as error:
        raise _kind_of(str(error))(_text(error)) from error
    except exceptions.BaseError as error:
        raise DataError(_text(error)) from error


def _kind_of(text: str) -> type[DataError]:
    found = _STATUS.search(text)
    status = int(found[1]) if found else 0
    if status in _KINDS:
        return _KINDS[status]
    final = 400 <= status < 500 and status not in _PASSES
    return DataError if final or _OTHER_REGION in text else DataUnavailableError


def _text(error: Exception) -> str:
    return str(error).partition(_DETAILS)[0].strip()
