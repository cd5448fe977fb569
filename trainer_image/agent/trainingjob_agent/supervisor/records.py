"""What a Python process of the script leaves behind when an exception ends it."""

import json
import logging
import os
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from trainingjob_agent.causes.reasons import qualified_name
from trainingjob_agent.causes.termination import Termination, describe_exception

_PATTERN = "failure-*.json"
_AGENTS_ERROR = "torch.distributed.elastic.multiprocessing.errors.ChildFailedError"
_CONSEQUENCES = frozenset({"NcclError", "CommunicationFailure"})

_logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Record:
    """One process and its exception.

    `rank` is None outside of a distributed training; `restart` counts those of torchrun. An agent
    of torchrun tells of the worker that failed first, and that one's exit code, in
    `worker_exit_code`.
    """

    seconds: float
    termination: Termination
    rank: int | None = None
    restart: int = 0
    worker_exit_code: int | None = None


def record_of(error: BaseException, environment: Mapping[str, str], seconds: float) -> Record:
    """Describe the exception that ends this process at `seconds` since the epoch."""
    if qualified_name(type(error)) == _AGENTS_ERROR:
        rank, failure = error.get_first_failure()  # type: ignore[attr-defined]  # torch's
        termination = describe_exception(error, rank=rank)
        return Record(seconds, termination, rank, 0, failure.exitcode)
    text = environment.get("RANK", "")
    rank = int(text) if text.isdigit() else None
    restart = environment.get("TORCHELASTIC_RESTART_COUNT", "")
    return Record(
        seconds,
        describe_exception(error, rank=rank or 0),
        rank,
        int(restart) if restart.isdigit() else 0,
    )


def write_record(directory: str, error: BaseException) -> None:
    """Leave a record of the exception that ends this process."""
    record = record_of(error, os.environ, time.time())
    file = Path(directory) / f"failure-{os.getpid()}.json"
    file.write_text(json.dumps(asdict(record)), encoding="utf-8")


def read_records(directory: Path) -> list[Record]:
    """Return all records; one that was cut off by the end of its process is left out."""
    records = []
    for file in sorted(directory.glob(_PATTERN)):
        try:
            told = json.loads(file.read_text(encoding="utf-8"))
            records.append(Record(**{**told, "termination": Termination(**told["termination"])}))
        except (OSError, ValueError, TypeError, KeyError) as error:
            _logger.warning("cannot read %s: %s", file.name, error)
    return records


def first_failure(records: Sequence[Record]) -> Record | None:
    """Return the record that tells the cause.

    Of ranks it is the first in time, of the last try of torchrun. A worker that was killed left
    none, and its peers only tell that it is gone: then it is the agent's. Of processes without a
    rank it is the last: an earlier one may have been replaced by what came after it.
    """
    agents = [one for one in records if one.worker_exit_code is not None]
    workers = [one for one in records if one.worker_exit_code is None and one.rank is not None]
    others = [one for one in records if one.worker_exit_code is None and one.rank is None]
    if not workers:
        return max(agents or others, key=lambda one: one.seconds, default=None)
    restart = max(one.restart for one in workers)
    first = min((one for one in workers if one.restart == restart), key=lambda one: one.seconds)
    killed = [one for one in agents if (one.worker_exit_code or 0) < 0]
    return killed[-1] if killed and first.termination.reason in _CONSEQUENCES else first
