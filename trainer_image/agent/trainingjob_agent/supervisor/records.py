"""What a Python process of the script leaves behind when an exception ends it."""

from __future__ import annotations

import contextlib
import json
import logging
import os
import signal
import stat
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from trainingjob_agent.causes.reasons import qualified_name
from trainingjob_agent.causes.termination import Termination, describe_exception
from trainingjob_agent.place import STARTED, rank_of

STOP_MARKER = "stopping"
"""The file that is there once the script was asked to stop."""

CONSEQUENCES = frozenset({"NcclError", "CommunicationFailure", "CollectiveTimeout"})
"""Reasons by which the peers of a rank that is gone fail."""

_PATTERN = "failure-*.json"
_AGENTS_ERROR = "torch.distributed.elastic.multiprocessing.errors.ChildFailedError"
_ABOUT_A_CHILD = "subprocess.CalledProcessError"
_ENDS_BY_SIGNAL = frozenset(
    {"KeyboardInterrupt", "torch.distributed.elastic.multiprocessing.api.SignalException"}
)
_TRAINING = ("torch", "jax", "tensorflow")
_STANDARD_STREAMS = (1, 2)
_AT_ONCE_SECONDS = 2
_PASSED_ON_SECONDS = 10.0
"""From the end of a process to that of those that wait for it, some of which stop others first."""

_logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Record:
    """One process and its exception.

    Attributes:
        seconds: when, since the epoch.
        termination: what the exception was.
        rank: of the process; None outside of a distributed training.
        restart: how often torchrun had started the ranks anew.
        worker_exit_code: an agent of torchrun names the worker that failed first, and this is
            that one's exit code.
        pid: process id.
        place: what the launcher put into the environment (`place_of`).
        helper: whether a Python process of the same place started this one.
        pipes: inodes of the pipes that standard output and standard error go to.
        trains: whether it has imported a framework for training.
    """

    seconds: float
    termination: Termination
    rank: int | None = None
    restart: int = 0
    worker_exit_code: int | None = None
    pid: int = 0
    place: str = "//"
    helper: bool = False
    pipes: Sequence[int] = ()
    trains: bool = False


def record_of(
    error: BaseException,
    environment: Mapping[str, str],
    seconds: float,
    *,
    place: str = "//",
    helper: bool = False,
) -> Record:
    """Describe the exception that ends this process at `seconds` since the epoch."""
    rank, restart, worker_exit_code = rank_of(environment), 0, None
    if qualified_name(type(error)) == _AGENTS_ERROR:
        rank, worker_exit_code = _failed_worker(error)
    else:
        text = environment.get("TORCHELASTIC_RESTART_COUNT", "")
        restart = int(text) if text.isdigit() else 0
    return Record(
        seconds,
        describe_exception(error, rank=rank or 0),
        rank,
        restart,
        worker_exit_code,
        os.getpid(),
        place,
        helper,
        list(_pipes()),
        any(name in sys.modules for name in _TRAINING),
    )


def note_exception(directory: str, error: BaseException, place: str, *, helper: bool) -> bool:
    """Leave a record of the exception that ends this process; return whether to print it.

    After a stop the signal is the cause, and an exception at most one line of the log.
    """
    record = record_of(error, os.environ, time.time(), place=place, helper=helper)
    if (Path(directory) / STOP_MARKER).exists():
        end = record.termination
        if end.exception not in _ENDS_BY_SIGNAL:
            rank = "" if record.rank is None else f"rank {record.rank} "
            line = f"trainingjob-exec: {rank}stopped by {end.exception}: {end.message}"
            sys.stderr.write(f"{line} ({end.frame})\n" if end.frame else f"{line}\n")
        return False
    file = Path(directory) / f"failure-{os.getpid()}.json"
    file.write_text(json.dumps(asdict(record)), encoding="utf-8")
    return True


def _failed_worker(error: Any) -> tuple[int, int]:
    """Return rank and exit code of the worker that failed first, of an error of torchrun.

    torchrun knows the second only. Of workers that it found at once, one that was killed is the
    first: its peers fail for that. SIGTERM comes from torchrun itself.
    """
    rank, first = error.get_first_failure()
    for other, failure in error.failures.items():
        at_once = failure.timestamp <= first.timestamp + _AT_ONCE_SECONDS
        if at_once and failure.exitcode < 0 and failure.exitcode != -signal.SIGTERM:
            return other, failure.exitcode
    return rank, first.exitcode


def _pipes() -> Iterator[int]:
    for descriptor in _STANDARD_STREAMS:
        with contextlib.suppress(OSError):  # closed
            status = os.fstat(descriptor)
            if stat.S_ISFIFO(status.st_mode):
                yield status.st_ino


def read_records(directory: Path) -> list[Record]:
    """Return all records; one that was cut off by the end of its process is left out."""
    records = []
    for file in sorted(directory.glob(_PATTERN)):
        try:
            kept = json.loads(file.read_text(encoding="utf-8"))
            records.append(Record(**{**kept, "termination": Termination(**kept["termination"])}))
        except (OSError, ValueError, TypeError, KeyError) as error:
            _logger.warning("cannot read %s: %s", file.name, error)
    return records


def read_last_start(directory: Path) -> float:
    """Return when the last Python process began that is no helper; 0 if none did."""
    file = directory / STARTED
    return file.stat().st_mtime if file.exists() else 0.0


def first_failure(records: Sequence[Record]) -> Record | None:
    """Return the record of the cause.

    Of ranks it is the first in time, of the last try of torchrun. A worker that was killed left
    none, and its peers only report that it is gone: then it is the agent's. Of the processes of one
    rank, or of none, it is the last: an earlier one may have been replaced by what came after it.
    What a helper of a process ran into counts only when that process says that a child failed.
    """
    own = [one for one in records if not one.helper]
    agents = [one for one in own if one.worker_exit_code is not None]
    workers = [one for one in own if one.worker_exit_code is None and one.rank is not None]
    others = [one for one in own if one.worker_exit_code is None and one.rank is None]
    if not workers:
        last = max(agents or others, key=_time, default=None)
        return None if last is None else _behind(last, records)
    restart = max(one.restart for one in workers)
    last_of_rank = {one.rank: one for one in sorted(workers, key=_time) if one.restart == restart}
    first = min(last_of_rank.values(), key=_time)
    killed = [one for one in agents if (one.worker_exit_code or 0) < 0]
    if killed and first.termination.reason in CONSEQUENCES:
        return killed[-1]
    return _behind(first, records)


def last_helper(records: Sequence[Record], seconds: float) -> Record | None:
    """Return the last record of a helper that ended just before `seconds`."""
    helpers = [one for one in records if one.helper and _soon_followed(one, seconds)]
    return max(helpers, key=_time, default=None)


def _behind(record: Record, records: Sequence[Record]) -> Record:
    """Return the child's record where the record is only of an error that a child failed."""
    if record.termination.exception != _ABOUT_A_CHILD:
        return record
    return last_helper(records, record.seconds) or record


def _soon_followed(record: Record, seconds: float) -> bool:
    return 0 <= seconds - record.seconds <= _PASSED_ON_SECONDS


def _time(record: Record) -> float:
    return record.seconds
