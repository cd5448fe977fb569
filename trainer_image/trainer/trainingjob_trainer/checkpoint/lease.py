"""Which training has a directory of checkpoints: one at a time writes to it.

A lock of the file system is no help: over NFS it may be granted twice, or outlive the node that has
it. So the holder counts up a number in a file every few seconds, and whoever comes later watches
whether it changes. No clocks are compared.
"""

import json
import logging
import os
import secrets
import socket
import threading
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from trainingjob_trainer.checkpoint.files import write_atomically

_FILE = ".lease.json"
_EVERY_SECONDS = 5.0
_MISSED = 4
"""Beats after which a holder is gone."""
_STARTED = 18
"""Of the fields behind the state in /proc/PID/stat: when the process began (proc_pid_stat(5))."""

_logger = logging.getLogger(__name__)


class DirectoryInUseError(RuntimeError):
    """Another training writes its checkpoints to the same directory."""


@dataclass(frozen=True, slots=True)
class Holder:
    """A training, as the file says it. `place` and `pid` tell whether its process is gone."""

    job: str
    uid: str | None
    attempt: int
    token: str = ""
    place: str = ""
    pid: int = 0
    started: str = ""
    beats: int = 0

    def __str__(self) -> str:
        """Name it for an error."""
        return f"TrainingJob {self.job} ({self.uid or 'no uid'}), attempt {self.attempt}"


class Lease:
    """Held by rank 0 from `acquire` to `release`; a thread renews it."""

    def __init__(
        self, directory: Path, holder: Holder, *, every_seconds: float = _EVERY_SECONDS
    ) -> None:
        self._file = directory / _FILE
        self._every_seconds = every_seconds
        self._mine = replace(
            holder,
            token=secrets.token_hex(8),
            place=_place(),
            pid=os.getpid(),
            started=_started(os.getpid()),
        )
        self._ended = threading.Event()
        self._thread: threading.Thread | None = None
        self._taken: DirectoryInUseError | None = None

    @property
    def taken(self) -> DirectoryInUseError | None:
        """Say who has taken the directory meanwhile, which ends this training; None: nobody."""
        return self._taken

    def acquire(self) -> None:
        """Take the directory, at once or when its holder has not moved for some seconds.

        An earlier attempt of the same job gives way at once: the operator has ended its pods.

        Raises:
            DirectoryInUseError: its holder goes on, or is a later attempt of the same job.
            OSError: the directory cannot be written to.
        """
        holder = self._read()
        if holder is not None and not self._may_follow(holder):
            self._wait_for_silence(holder)
        self._write()
        self._thread = threading.Thread(target=self._renew, name="checkpoint-lease", daemon=True)
        self._thread.start()

    def release(self) -> None:
        """Leave the directory to the next one."""
        self._ended.set()
        if self._thread is None:
            return
        self._thread.join()
        if self._holds():
            self._file.unlink(missing_ok=True)

    def _may_follow(self, holder: Holder) -> bool:
        mine = self._mine
        if mine.uid is not None and holder.uid == mine.uid:
            if holder.attempt > mine.attempt:
                raise _in_use(self._file.parent, holder)
            return True
        return holder.place == mine.place and _started(holder.pid) != holder.started

    def _wait_for_silence(self, holder: Holder) -> None:
        _logger.info("%s has the checkpoints: looking whether it goes on", holder)
        for _ in range(_MISSED):
            self._ended.wait(self._every_seconds)
            now = self._read()
            if now is not None and now != holder:
                raise _in_use(self._file.parent, now)
            if now is None:
                return

    def _renew(self) -> None:
        while not self._ended.wait(self._every_seconds):
            try:
                if not self._holds():
                    return
                self._write()
            except OSError as error:
                _logger.warning("the lease of the checkpoints is not renewed: %s", error)

    def _holds(self) -> bool:
        """Look whether the file still names this training; without a file it does."""
        now = self._read()
        if now is not None and now.token != self._mine.token:
            self._taken = _in_use(self._file.parent, now)
        return self._taken is None

    def _write(self) -> None:
        self._mine = replace(self._mine, beats=self._mine.beats + 1)
        text = json.dumps(asdict(self._mine)).encode()
        write_atomically(self._file, lambda file: file.write(text))

    def _read(self) -> Holder | None:
        """Return who the file names; None without one, or with one of another version."""
        try:
            return Holder(**json.loads(self._file.read_bytes()))
        except (FileNotFoundError, ValueError, TypeError):
            return None


def _in_use(directory: Path, holder: Holder) -> DirectoryInUseError:
    return DirectoryInUseError(
        f"{holder} writes its checkpoints to {directory}, too: end it, or use another directory "
        "(spec.checkpoint.path or --checkpoint-dir)"
    )


def _place() -> str:
    """Return where a process id means the same process: the host and the namespace of its ids."""
    return f"{socket.gethostname()} {Path('/proc/self/ns/pid').readlink()}"


def _started(pid: int) -> str:
    """Return when a process began, "" if there is none; an id alone may be another one's by now."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return ""
    state, *fields = text.rpartition(")")[2].split()
    return "" if state == "Z" else fields[_STARTED]
