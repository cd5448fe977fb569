"""A source whose files are archives: what is in them takes their place."""

import bz2
import gzip
import io
import lzma
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import IO, Any

from trainingjob_agent.initializers.errors import DataError, InvalidArchiveError
from trainingjob_agent.initializers.progress import Progress
from trainingjob_agent.initializers.volume import Source

_PIECE_BYTES = 1 << 20
_ZIP = (".zip",)
_TAR = (
    *(".tar", ".tar.gz", ".tgz", ".tar.bz2", ".tbz2", ".tar.xz", ".txz"),
    # What the image's Python cannot unpack: the error says so.
    *(".tar.zst", ".tzst"),
)
_KINDS = "tar, also with gzip, bzip2 or xz, and zip"
_COMPRESSIONS: dict[bytes, Callable[..., Any]] = {
    b"\x1f\x8b": gzip.open,
    b"BZh": bz2.open,
    b"\xfd7zXZ\x00": lzma.open,
}
_READABLE, _EXECUTABLE, _ANY_EXECUTE = 0o664, 0o775, 0o111


class ExtractedSource:
    """The files of a source, with the content of archives in their place."""

    def __init__(self, source: Source) -> None:
        self._source = source

    def fetch(self, place: Path, progress: Progress) -> None:
        """Fetch, then unpack; raises InvalidArchiveError beside the errors of the source."""
        self._source.fetch(place, progress)
        for archive in _archives(place):
            with _explained(archive.name):
                _unpack(archive, progress)
            archive.unlink()


def _archives(place: Path) -> list[Path]:
    files = [file for file in sorted(place.rglob("*")) if file.is_file()]
    named = [file for file in files if file.name.lower().endswith((*_TAR, *_ZIP))]
    # A URL need not end with the name of its file.
    found = named or (files if len(files) == 1 else [])
    if not found:
        raise DataError(f"none of its {len(files)} files is an archive ({_KINDS})")
    return found


def _unpack(archive: Path, progress: Progress) -> None:
    """Unpack into the directory of the archive."""
    if archive.name.lower().endswith(_ZIP) or (
        not archive.name.lower().endswith(_TAR) and zipfile.is_zipfile(archive)
    ):
        _unpack_zip(archive, progress)
    else:
        _unpack_tar(archive, progress)


def _unpack_zip(archive: Path, progress: Progress) -> None:
    with zipfile.ZipFile(archive) as content:
        members = content.infolist()
        for member in members:
            name = PurePosixPath(member.filename)
            # The library would change such a name, and put the file somewhere else.
            if name.is_absolute() or ".." in name.parts:
                raise InvalidArchiveError(f"{member.filename} would be outside of the directory")
            _check_inside(member.filename, archive.parent / name, archive.parent)
        progress.begin(f"unpacking {archive.name}", sum(one.file_size for one in members))
        for member in members:
            if member.is_dir():
                content.extract(member, archive.parent)
                continue
            target = archive.parent / member.filename
            target.parent.mkdir(parents=True, exist_ok=True)
            with content.open(member) as packed, target.open("wb") as output:
                while piece := packed.read(_PIECE_BYTES):
                    output.write(piece)
                    progress.add(len(piece))


def _unpack_tar(archive: Path, progress: Progress) -> None:
    progress.begin(f"unpacking {archive.name}", archive.stat().st_size)
    with (
        io.BufferedReader(_Counted(archive, progress), _PIECE_BYTES) as file,
        _decompressed(file) as stream,
        tarfile.open(fileobj=stream, mode="r:") as content,
    ):
        # One after the other: extractall would read a compressed archive twice.
        for member in content:
            _extract(content, member, archive.parent)
        # The checksum of a compressed file is at its end.
        while stream.read(_PIECE_BYTES):
            pass


def _extract(content: tarfile.TarFile, member: tarfile.TarInfo, root: Path) -> None:
    """Unpack what stays below the directory, so that the training may read it.

    The library's filter `data` is not in all releases of Python 3.11.
    """
    target = root / member.name
    _check_inside(member.name, target, root)
    if member.issym():
        _check_inside(f"{member.name} -> {member.linkname}", target.parent / member.linkname, root)
    elif member.islnk():
        _check_inside(f"{member.name} -> {member.linkname}", root / member.linkname, root)
    elif not member.isreg() and not member.isdir():
        raise InvalidArchiveError(f"{member.name} is neither a file, a directory nor a link")
    content.extract(member, root, set_attrs=False)
    if member.isreg():
        target.chmod(_EXECUTABLE if member.mode & _ANY_EXECUTE else _READABLE)


def _check_inside(name: str, target: Path, root: Path) -> None:
    """Refuse what is outside of the directory, also by links that are there by now."""
    if not target.resolve().is_relative_to(root.resolve()):
        raise InvalidArchiveError(f"{name} would be outside of the directory")


@contextmanager
def _decompressed(file: "io.BufferedReader[_Counted]") -> Iterator[IO[bytes]]:
    begin = file.peek(6)
    for magic, opened in _COMPRESSIONS.items():
        if begin.startswith(magic):
            with opened(file) as stream:
                yield stream
            return
    yield file


class _Counted(io.FileIO):
    """A file that counts how far it is read."""

    def __init__(self, path: Path, progress: Progress) -> None:
        super().__init__(path)
        self._progress = progress

    def readinto(self, buffer: "bytearray | memoryview") -> int:  # type: ignore[override]  # a plain file never returns None
        count = super().readinto(buffer) or 0
        self._progress.done = self.tell()
        return count


@contextmanager
def _explained(name: str) -> Iterator[None]:
    """Raise what the libraries raise for a broken archive as one that cannot be unpacked."""
    try:
        yield
    except InvalidArchiveError as error:
        raise InvalidArchiveError(f"{name}: {error}") from error
    except (EOFError, lzma.LZMAError, zlib.error) as error:
        raise InvalidArchiveError(f"{name}: {error}") from error
    except (tarfile.TarError, zipfile.BadZipFile) as error:
        raise InvalidArchiveError(f"{name} is no archive of {_KINDS}: {error}") from error
    except (NotImplementedError, RuntimeError) as error:
        # zipfile: a compression that it does not know, a password.
        raise InvalidArchiveError(f"{name}: {error}") from error
    except OSError as error:
        # Those of the file system have a number; of gzip and bz2 it is the content.
        if error.errno is not None:
            raise
        raise InvalidArchiveError(f"{name}: {error}") from error
