"""The directory that is filled: all of a source appears there, once."""

import hashlib
import logging
import os
import shutil
import time
from collections.abc import Callable
from pathlib import Path
from typing import Protocol

from trainingjob_agent.delivery.backoff import Backoff, Closing
from trainingjob_agent.initializers.errors import DataUnavailableError
from trainingjob_agent.initializers.progress import Progress

_MARK = ".trainingjob-"
_PATIENCE_SECONDS = 600.0
"""How long a source that sends nothing is asked again."""
_LOOK_SECONDS = 2.0
_SAID_EVERY = 30

_logger = logging.getLogger("initialize")


class Source(Protocol):
    """Where data comes from."""

    def fetch(self, place: Path, progress: Progress) -> None:
        """Fetch into `place` what is missing there, with one try; raises DataError."""
        ...


class Volume:
    """A directory of the volume, and one source of it.

    Args:
        directory: where the data is to be.
        source: what identifies the data, e.g. the URL and the checksum.
        owner: who fetches, so that no two share the files that are not complete.
    """

    def __init__(self, directory: Path, source: str, owner: str) -> None:
        digest = hashlib.sha256(source.encode()).hexdigest()[:16]
        self._directory = directory
        self._mark = directory / f"{_MARK}{digest}"
        self._place = directory / f"{_MARK}{digest}-{owner}"

    @property
    def filled(self) -> bool:
        """Whether all of the source is there, from whichever job or attempt."""
        return self._mark.exists()

    def fill(self, source: Source, progress: Progress) -> None:
        """Fetch beside, then move each file to its place; files of that name are replaced.

        Raises:
            DataError: not all of it is there.
            OSError: the directory cannot be written.
        """
        self._directory.mkdir(parents=True, exist_ok=True)
        # What an earlier attempt left: its pods have ended.
        shutil.rmtree(self._place, ignore_errors=True)
        self._place.mkdir()
        try:
            fetch_patiently(lambda: source.fetch(self._place, progress), progress)
            for file in [*filter(_is_moved, self._place.rglob("*"))]:
                target = self._directory / file.relative_to(self._place)
                target.parent.mkdir(parents=True, exist_ok=True)
                file.replace(target)
        finally:
            shutil.rmtree(self._place, ignore_errors=True)
        self._mark.touch()

    def wait(self, pause: Callable[[float], None] = time.sleep) -> None:
        """Wait until another node has filled it; its failure ends this pod, too."""
        looked = 0
        while not self.filled:
            if looked % _SAID_EVERY == 0:
                _logger.info("waiting for node 0, which fills the volume")
            looked += 1
            pause(_LOOK_SECONDS)
            # Clients of network file systems keep what is in a directory for a while.
            os.scandir(self._directory).close()


def _is_moved(path: Path) -> bool:
    """Whether it is no directory; a link to one is moved as the link that it is."""
    return path.is_symlink() or not path.is_dir()


def fetch_patiently(
    fetch: Callable[[], None],
    progress: Progress,
    patience_seconds: float = _PATIENCE_SECONDS,
    clock: Callable[[], float] = time.monotonic,
) -> None:
    """Try until it works; give up when nothing has come for a while.

    Raises:
        DataError: the last error.
    """
    closing, backoff = Closing(), Backoff("fetching", _logger)
    last, most = clock(), 0
    while True:
        try:
            fetch()
        except DataUnavailableError as error:
            if progress.done > most:
                last, most = clock(), progress.done
                backoff.succeeded()
            if clock() - last >= patience_seconds:
                raise
            backoff.failed(error)
            backoff.wait(closing)
        else:
            return
