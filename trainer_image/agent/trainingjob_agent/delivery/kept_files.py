"""Files that a script could not upload, on their way to the process beside it."""

from __future__ import annotations

import shutil
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

_UNFINISHED = "unfinished-"


class KeptFiles:
    """A directory that all processes of a script put files into, and one process takes them from.

    Each file has a directory of its own, in which it lies as it shall lie in the run's artifacts.
    """

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._taken: set[Path] = set()

    def put(self, file: Path, artifact_path: str) -> None:
        """Copy a file that is to be an artifact in `artifact_path`; "" is the root.

        Raises:
            OSError: there is no room for it, or it cannot be read.
        """
        self._directory.mkdir(exist_ok=True)
        place = Path(tempfile.mkdtemp(prefix=_UNFINISHED, dir=self._directory))
        try:
            target = place / artifact_path
            target.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(file, target / file.name)
        except OSError:
            shutil.rmtree(place, ignore_errors=True)
            raise
        # Only what is whole has such a name, and it sorts behind those before.
        name = place.name[len(_UNFINISHED) :]
        place.rename(self._directory / f"{time.time_ns():020d}-{name}")

    def take(self) -> Iterator[tuple[Path, str]]:
        """Yield each file that came since the last time, oldest first, and its artifact path.

        Raises:
            OSError: the directory cannot be read now.
        """
        if not self._directory.exists():
            return
        for place in sorted(self._directory.iterdir()):
            if place in self._taken or place.name.startswith(_UNFINISHED):
                continue
            self._taken.add(place)
            for file in place.rglob("*"):
                if file.is_file():
                    path = file.parent.relative_to(place).as_posix()
                    yield file, "" if path == "." else path
