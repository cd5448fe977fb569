"""A login in files that are renewed from outside: a mounted Secret, a projected token."""

import logging
import ssl
from dataclasses import replace
from pathlib import Path

from trainingjob_operator.adapters.mlflow_rest.values import Credentials

logger = logging.getLogger(__name__)

# MLflow's own names: of the files of a login, and of its environment variables.
LOGIN = {
    "username": "MLFLOW_TRACKING_USERNAME",
    "password": "MLFLOW_TRACKING_PASSWORD",
    "token": "MLFLOW_TRACKING_TOKEN",
}

# What distinguishes a file from its successor: the kubelet swaps a link, others write in place.
Stamp = tuple[int, int, int]


class LoginError(Exception):
    """The files contain no login; the message says why."""


class FileLogin:
    """The login in a directory with one file for each part; `rest` has the parts without a file.

    Before each call it checks whether the files have changed, which costs three stat() of files in
    memory, and if so reads them again. If that fails, the login before stays: a file may be half
    written.

    Raises:
        LoginError: there is no login at the start.
    """

    def __init__(self, directory: Path, rest: Credentials) -> None:
        self._directory = directory
        self._rest = rest
        self._stamps = self._look()
        self._current = self._read()

    def ssl_context(self) -> ssl.SSLContext:
        """The TLS settings, which stay as they are."""
        return self._rest.ssl_context()

    def headers(self) -> dict[str, str]:
        """The Authorization header of the login as it is now."""
        stamps = self._look()
        if stamps != self._stamps:
            try:
                self._current = self._read()
            except LoginError as error:
                logger.warning("%s; keeping the previous login", error)
            else:
                logger.info("the login in %s has changed", self._directory)
            self._stamps = stamps
        return self._current.headers()

    def _look(self) -> list[Stamp | None]:
        return [_stamp(self._directory / name) for name in LOGIN.values()]

    def _read(self) -> Credentials:
        parts: dict[str, str] = {}
        try:
            for field, name in LOGIN.items():
                if (self._directory / name).exists():
                    parts[field] = (self._directory / name).read_text().rstrip("\n")
        except (OSError, UnicodeDecodeError) as error:
            raise LoginError(f"login in {self._directory}: {error}") from error
        if not parts.get("token") and not parts.get("username"):
            names = f"{LOGIN['token']} or {LOGIN['username']}"
            raise LoginError(f"login in {self._directory}: there is no {names}")
        return replace(self._rest, **parts)


def _stamp(path: Path) -> Stamp | None:
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_ino, found.st_mtime_ns, found.st_size
