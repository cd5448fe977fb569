"""A file from a web server; a transfer that breaks off continues where it was."""

import hashlib
import os
import re
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import unquote, urlsplit

from trainingjob_agent.initializers.errors import (
    ChecksumMismatchError,
    DataAccessDeniedError,
    DataError,
    DataNotFoundError,
    DataUnavailableError,
)
from trainingjob_agent.initializers.progress import Progress

if TYPE_CHECKING:
    import requests

AUTHORIZATION = "TRAININGJOB_OPTION_HTTP_AUTHORIZATION"
"""Variable with the value of the header Authorization, such as `Bearer …`."""

_PIECE_BYTES = 1 << 18
_TIMEOUT_SECONDS = 30.0
_PARTIAL = 206
_RANGE = re.compile(r"bytes (\d+)-")
_UNNAMED = "data"


class HttpSource:
    """One file by GET (RFC 9110), and its SHA-256 where it is known."""

    def __init__(self, url: str, sha256: str | None = None) -> None:
        self._url = url
        self._sha256 = sha256
        self._validator = ""

    def fetch(self, place: Path, progress: Progress) -> None:
        """Fetch what is missing, with one try.

        Raises:
            DataError: not all of it is there, or it has another checksum.
            OSError: the file cannot be written.
        """
        import requests

        file = place / name_of(self._url)
        try:
            with requests.get(
                self._url, headers=self._headers(file), stream=True, timeout=_TIMEOUT_SECONDS
            ) as response:
                _check(response)
                self._save(response, file, progress)
        except (requests.exceptions.InvalidURL, requests.exceptions.InvalidSchema) as error:
            raise DataError(str(error)) from error
        except requests.RequestException as error:
            raise DataUnavailableError(str(error)) from error
        if progress.total is not None and progress.done < progress.total:
            raise DataUnavailableError(f"{progress.done} of {progress.total} bytes came")
        if self._sha256:
            _check_digest(file, self._sha256)

    def _headers(self, file: Path) -> dict[str, str]:
        headers = {"Accept-Encoding": "identity"}
        if os.environ.get(AUTHORIZATION):
            headers["Authorization"] = os.environ[AUTHORIZATION]
        there = _size(file)
        if self._validator and there:
            # The server sends the whole file if it is another one by now.
            headers["Range"] = f"bytes={there}-"
            headers["If-Range"] = self._validator
        return headers

    def _save(self, response: "requests.Response", file: Path, progress: Progress) -> None:
        headers = response.headers
        etag = headers.get("ETag", "")
        self._validator = etag if etag and not etag.startswith("W/") else ""
        continued = response.status_code == _PARTIAL
        begin = _RANGE.match(headers.get("Content-Range", ""))
        if continued and (begin is None or int(begin[1]) != _size(file)):
            self._validator = ""
            raise DataUnavailableError("the server sends another part than it was asked for")
        progress.done = _size(file) if continued else 0
        length = headers.get("Content-Length", "")
        progress.total = progress.done + int(length) if length.isdigit() else None
        with file.open("ab" if continued else "wb") as output:
            for piece in response.iter_content(_PIECE_BYTES):
                output.write(piece)
                progress.add(len(piece))


def name_of(url: str) -> str:
    """Return the name that the file gets: the last part of the URL's path."""
    name = unquote(urlsplit(url).path.rstrip("/").rpartition("/")[2])
    return name if name not in ("", ".", "..") and "/" not in name else _UNNAMED


def _size(file: Path) -> int:
    return file.stat().st_size if file.exists() else 0


def _check(response: "requests.Response") -> None:
    status = response.status_code
    message = f"the server answers {status} {response.reason}"
    if status in (401, 403, 407):
        raise DataAccessDeniedError(message)
    if status in (404, 410):
        raise DataNotFoundError(message)
    if status in (408, 425, 429) or status >= 500:
        raise DataUnavailableError(message)
    if status >= 400:
        raise DataError(message)


def _check_digest(file: Path, sha256: str) -> None:
    digest = hashlib.sha256()
    with file.open("rb") as data:
        while piece := data.read(_PIECE_BYTES):
            digest.update(piece)
    if digest.hexdigest() != sha256:
        raise ChecksumMismatchError(f"its SHA-256 is {digest.hexdigest()} and not {sha256}")
