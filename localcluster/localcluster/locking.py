"""Locks between processes, from whichever clone they run."""

from __future__ import annotations

import fcntl
from contextlib import contextmanager
from typing import TYPE_CHECKING

from localcluster.errors import ClusterError
from localcluster.progress import step

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@contextmanager
def exclusive(path: Path, what: str) -> Iterator[None]:
    """Hold ``path``'s lock; the kernel frees it when the holder dies. Says so when it waits.

    Raises:
        ClusterError: this user may not write there.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle = path.open("a")
    except PermissionError as error:
        raise ClusterError(
            f"cannot write {path}: set TRAININGJOB_CACHE_DIR to a directory of yours"
        ) from error
    with handle:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            with step(f"waiting for another localcluster: {what}"):
                fcntl.flock(handle, fcntl.LOCK_EX)
        yield
