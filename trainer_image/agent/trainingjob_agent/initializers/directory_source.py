"""Files of another volume, which the pod has mounted."""

import shutil
from collections.abc import Iterator
from pathlib import Path

from trainingjob_agent.initializers.errors import DataAccessDeniedError, DataNotFoundError
from trainingjob_agent.initializers.progress import Progress

_PIECE_BYTES = 1 << 20


class DirectorySource:
    """A file, or all files below a directory."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def fetch(self, place: Path, progress: Progress) -> None:
        """Copy what is missing.

        Raises:
            DataError: a file is not there, or cannot be read.
            OSError: a file cannot be written.
        """
        try:
            files = list(self._files())
            progress.total = sum(file.stat().st_size for file, _ in files)
            for file, name in files:
                target = place / name
                target.parent.mkdir(parents=True, exist_ok=True)
                with file.open("rb") as content, target.open("wb") as output:
                    while piece := content.read(_PIECE_BYTES):
                        output.write(piece)
                        progress.add(len(piece))
                shutil.copymode(file, target)
        except FileNotFoundError as error:
            raise DataNotFoundError(str(error)) from error
        except PermissionError as error:
            raise DataAccessDeniedError(str(error)) from error

    def _files(self) -> Iterator[tuple[Path, Path]]:
        """Yield the files, and their names below the volume."""
        if self._path.is_file():
            yield self._path, Path(self._path.name)
            return
        found = False
        for file in sorted(self._path.rglob("*")):
            if file.is_file():
                found = True
                yield file, file.relative_to(self._path)
        if not found:
            raise DataNotFoundError(f"{self._path} is not there, or has no files")
