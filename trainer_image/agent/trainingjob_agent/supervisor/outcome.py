"""The end of the command as an exit code and a termination message. Pure."""

import shlex
import signal
from collections.abc import Sequence
from dataclasses import dataclass, replace

from trainingjob_agent.causes.advice import advised
from trainingjob_agent.causes.printed import LastWords, last_traceback, last_words, own_lines
from trainingjob_agent.causes.termination import (
    EXIT_FAILURE,
    Termination,
    signal_name,
    user_frame,
)
from trainingjob_agent.supervisor.records import CONSEQUENCES, Record, first_failure, last_helper

_SHOWN_COMMAND = 300
_FORGOTTEN_SECONDS = 10.0
_HINTS: dict[int, str] = {
    signal.SIGBUS: "mostly a full /dev/shm: set spec.sharedMemory to a larger size",
}


@dataclass(frozen=True, slots=True)
class Ending:
    """How the command ended.

    Attributes:
        command: what was run.
        code: its exit code, or minus the number of the signal that ended it.
        stop_signal: SIGTERM or SIGINT, if it was sent on before the end.
        tail: the last of standard error.
        records: what its Python processes left behind.
        out_of_memory: whether the kernel has killed a process of the pod for want of memory.
        rank: of this node, for a command that has none.
        pid: process id of the command.
        place: what the pod itself says of ranks (`place_of`), and so of the command.
        seconds: when it ended, since the epoch.
        last_start_seconds: when the last of its Python processes began, but for helpers.
        pipes: inodes of the pipes that the command was given as standard output and error.
    """

    command: Sequence[str]
    code: int
    stop_signal: int | None = None
    tail: str = ""
    records: Sequence[Record] = ()
    out_of_memory: bool = False
    rank: int = 0
    pid: int = 0
    place: str = "//"
    seconds: float = 0.0
    last_start_seconds: float = 0.0
    pipes: Sequence[int] = ()


def exit_code(ending: Ending) -> int:
    """Return the code to exit with: 128 + n after a signal, and always so after a stop.

    What a program does on SIGTERM differs: some end with 0, some with an error. Neither is the end
    of a training. torchrun ends with 1 whatever ended its worker; the worker's code says more. A
    shell that hides a failure behind a pipe or a later command ends with 0, which is none, either.
    """
    if ending.stop_signal is not None:
        return 128 + ending.stop_signal
    code = ending.code
    if code == 0:
        return EXIT_FAILURE if _is_hidden(ending) else 0
    cause = _cause(ending)
    if code > 0 and cause is not None and cause.worker_exit_code:
        code = cause.worker_exit_code
    return code if code >= 0 else 128 - code


def explain(ending: Ending) -> Termination | None:
    """Return the termination message; None when all went well."""
    if ending.stop_signal is not None:
        message = f"stopped by {signal_name(ending.stop_signal)}"
        return Termination("Signal", message, rank=ending.rank)
    if ending.code == 0 and not _is_hidden(ending):
        return None
    cause = _cause(ending)
    if ending.out_of_memory and exit_code(ending) == 128 + signal.SIGKILL:
        message = f"{_name(ending)} was killed: the pod has used all the memory that it may use"
        return Termination("OOMKilled", message, rank=_rank(ending))
    if cause is not None and cause.worker_exit_code is None:
        # Without a rank of its own it has that of the node.
        return replace(cause.termination, rank=_rank(ending))
    # A rank that was killed printed no traceback: the last one is of a peer that missed it.
    killed = cause is not None and (cause.worker_exit_code or 0) < 0
    return (_printed(ending) if ending.code > 0 and not killed else None) or _from_outside(ending)


def _cause(ending: Ending) -> Record | None:
    records = [one for one in ending.records if not _was_dealt_with(one, ending)]
    return first_failure(records)


def _was_dealt_with(record: Record, ending: Ending) -> bool:
    """Whether the script went on after this, as a shell may with what comes next.

    That can only be of a process beside the command itself, and not of one rank among others.
    """
    if record.helper or record.pid == ending.pid or record.place != ending.place:
        return False
    forgotten = ending.seconds - record.seconds > _FORGOTTEN_SECONDS
    return forgotten or ending.last_start_seconds > record.seconds


def _is_hidden(ending: Ending) -> bool:
    """Whether a command that ended with 0 hides a failure of the training.

    A launcher that ends with 0 has dealt with what its ranks ran into. Not so a shell: it ends as
    the last command of a pipe, or of several, did.
    """
    return any(
        one.trains or any(inode not in ending.pipes for inode in one.pipes)
        for one in ending.records
        if not one.helper and one.place == ending.place and not _was_dealt_with(one, ending)
    )


def _printed(ending: Ending) -> Termination | None:
    """Return the exception that the last lines are of: what comes before them was dealt with."""
    traceback = last_traceback(own_lines(ending.tail))
    if traceback is None or not traceback.at_end:
        return None
    helper = last_helper(ending.records, ending.seconds)
    if helper is not None and helper.termination.exception == traceback.name:
        return replace(helper.termination, rank=_rank(ending))
    return Termination(
        traceback.reason,
        advised(traceback.reason, traceback.message or traceback.name),
        traceback.name,
        user_frame(traceback.frames),
        _rank(ending) if traceback.rank is None else traceback.rank,
    )


def _from_outside(ending: Ending) -> Termination:
    """The exit code or signal, and the last words."""
    code = exit_code(ending)
    number = code - 128 if code > 128 else None
    what = f"ended with code {code}" if number is None else f"was ended by {signal_name(number)}"
    words = last_words(own_lines(ending.tail))
    if number == signal.SIGKILL and words.reason in CONSEQUENCES:
        words = LastWords("")  # of a peer that missed it: who is killed says nothing
    explained = f": {words.text}" if words.text else " and reported no error"
    message = f"{_name(ending)} {what}{explained}"
    if words.reason is not None:
        return Termination(words.reason, advised(words.reason, message), rank=_rank(ending))
    if number is None:
        return Termination("NonZeroExitCode", message, rank=_rank(ending))
    hint = _HINTS.get(number)
    return Termination("Signal", f"{message}; {hint}" if hint else message, rank=_rank(ending))


def _rank(ending: Ending) -> int:
    cause = _cause(ending)
    return ending.rank if cause is None or cause.rank is None else cause.rank


def _name(ending: Ending) -> str:
    """Who ended: a rank that torchrun names, or the command."""
    cause = _cause(ending)
    if cause is not None and cause.worker_exit_code is not None:
        return f"rank {cause.rank}"
    command = shlex.join(ending.command)
    return command if len(command) <= _SHOWN_COMMAND else f"{command[:_SHOWN_COMMAND]}…"
