"""Reads the working directory: its files, its git commit."""

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

from trainingjob.core.code_files import GIT_IGNORE_FILE, IGNORE_FILE, chosen
from trainingjob.core.snapshot import Commit, File, check_sizes
from trainingjob.errors import UserError


def read(directory: Path) -> tuple[list[File], Commit | None]:
    """Read the files that go along, and the commit where the directory is in a git repository.

    Raises:
        UserError: the directory, or a file of it, cannot be read; or a link leads out of it.
    """
    _check(directory)
    listed = _git(directory, "ls-files", "--cached", "--others", "--exclude-standard", "-z")
    ignored = [_text(directory / IGNORE_FILE)]
    if listed is None:
        paths = list(_walk(directory))
        ignored.append(_text(directory / GIT_IGNORE_FILE))
    else:
        paths = list(_tracked(directory, listed))
    going = chosen(paths, *ignored)
    check_sizes({path: _size(directory / path) for path in going})
    files = [_file(directory, path) for path in going]
    return files, None if listed is None else commit_of(directory)


def _tracked(directory: Path, listed: str) -> Iterator[str]:
    """What git lists, and of a submodule or a repository within what its own git lists."""
    for path in sorted(set(filter(None, listed.split("\0")))):
        target = directory / path
        if target.is_dir() and not target.is_symlink():
            nested = _git(target, "ls-files", "--cached", "--others", "--exclude-standard", "-z")
            found = _walk(target) if nested is None else _tracked(target, nested)
            yield from (f"{path.rstrip('/')}/{one}" for one in found)
        elif target.exists() or target.is_symlink():
            yield path


def _walk(directory: Path) -> Iterator[str]:
    """All files and links; a pipe or a socket has no content that could go along."""
    for folder, folders, names in os.walk(directory):
        folders.sort()
        for name in [*names, *folders]:
            target = Path(folder) / name
            if target.is_symlink() or target.is_file():
                yield target.relative_to(directory).as_posix()


def _size(target: Path) -> int:
    """Bytes of a file; none of a link that leads nowhere, or to a directory."""
    return target.stat().st_size if target.is_file() else 0


def _file(directory: Path, path: str) -> File:
    target = directory / path
    if target.is_symlink():
        inside = target.resolve().is_relative_to(directory.resolve())
        link = target.readlink()
        if inside and not link.is_absolute():
            return File(path, link=str(link))
        if not target.is_file():
            raise UserError(
                f"{path} links to {link}, which is not in the working directory",
                f"put {path} into {IGNORE_FILE}, or copy what it links to",
            )
    try:
        return File(path, target.read_bytes(), executable=os.access(target, os.X_OK))
    except OSError as error:
        raise UserError(
            f"{path} cannot be read: {error.strerror}", f"put it into {IGNORE_FILE}"
        ) from error


def commit_of(directory: Path) -> Commit | None:
    """The git commit of a directory; None where there is none.

    Raises:
        UserError: it is no directory.
    """
    _check(directory)
    sha = _git(directory, "rev-parse", "--verify", "HEAD")
    if sha is None:
        return None
    dirty = bool(_git(directory, "status", "--porcelain", "--", "."))
    diff = (
        _git(directory, "diff", "--no-ext-diff", "--no-color", "HEAD", "--", ".") if dirty else ""
    )
    # As text: a name or a line in another encoding than UTF-8 is only shown.
    shown = (diff or "").encode(errors="surrogateescape").decode(errors="replace")
    return Commit(sha.strip(), dirty, shown)


def _check(directory: Path) -> None:
    if not directory.is_dir():
        raise UserError(f"--workdir {directory} is no directory", "name the one with the code")


def _git(directory: Path, *arguments: str) -> str | None:
    """Output of git; None where there is no git, or no repository."""
    command = ("git", "-C", str(directory), *arguments)
    try:
        done = subprocess.run(command, capture_output=True, check=False)
    except FileNotFoundError:
        return None
    return None if done.returncode else done.stdout.decode(errors="surrogateescape")


def _text(path: Path) -> str:
    return path.read_text(errors="replace") if path.is_file() else ""
