"""The end of the command as an exit code and a termination message. Pure."""

import shlex
import signal
from collections.abc import Sequence
from dataclasses import dataclass, replace

from trainingjob_agent.causes.termination import Termination, signal_name, user_frame
from trainingjob_agent.supervisor.printed import last_lines, last_traceback, reason_by_words
from trainingjob_agent.supervisor.records import Record, first_failure

_SHOWN_COMMAND = 300


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
    """

    command: Sequence[str]
    code: int
    stop_signal: int | None = None
    tail: str = ""
    records: Sequence[Record] = ()
    out_of_memory: bool = False
    rank: int = 0


def exit_code(ending: Ending) -> int:
    """Return the code to exit with: 128 + n after a signal, and always so after a stop.

    What a program does on SIGTERM differs: some end with 0, some with an error. Neither is the end
    of a training. torchrun ends with 1 whatever ended its worker; the worker's code tells more.
    """
    if ending.stop_signal is not None:
        return 128 + ending.stop_signal
    cause = first_failure(ending.records)
    code = ending.code
    if code > 0 and cause is not None and cause.worker_exit_code:
        code = cause.worker_exit_code
    return code if code >= 0 else 128 - code


def explain(ending: Ending) -> Termination | None:
    """Return the termination message; None when all went well."""
    if ending.stop_signal is not None:
        message = f"stopped by {signal_name(ending.stop_signal)}"
        return Termination("Signal", message, rank=ending.rank)
    if ending.code == 0:
        return None
    if ending.out_of_memory and exit_code(ending) == 128 + signal.SIGKILL:
        message = f"{_name(ending)} was killed: the pod has used all the memory that it may use"
        return Termination("OOMKilled", message, rank=_rank(ending))
    cause = first_failure(ending.records)
    if cause is not None and cause.worker_exit_code is None:
        # Without a rank of its own it has that of the node.
        return replace(cause.termination, rank=_rank(ending))
    printed = _printed(ending) if ending.code > 0 and cause is None else None
    return printed or _told(ending)


def _printed(ending: Ending) -> Termination | None:
    traceback = last_traceback(ending.tail)
    if traceback is None:
        return None
    return Termination(
        traceback.reason,
        traceback.message or traceback.name,
        traceback.name,
        user_frame(traceback.frames),
        ending.rank if traceback.rank is None else traceback.rank,
    )


def _told(ending: Ending) -> Termination:
    """Tell the exit code or signal, and the last words."""
    code = exit_code(ending)
    by_signal = code > 128
    what = f"was ended by {signal_name(code - 128)}" if by_signal else f"ended with code {code}"
    words = last_lines(ending.tail)
    message = f"{_name(ending)} {what}" + (f": {words}" if words else " and told nothing")
    reason = reason_by_words(words) or ("Signal" if by_signal else "NonZeroExitCode")
    return Termination(reason, message, rank=_rank(ending))


def _rank(ending: Ending) -> int:
    cause = first_failure(ending.records)
    return ending.rank if cause is None or cause.rank is None else cause.rank


def _name(ending: Ending) -> str:
    """Who ended: a rank that torchrun tells of, or the command."""
    cause = first_failure(ending.records)
    if cause is not None and cause.worker_exit_code is not None:
        return f"rank {cause.rank}"
    command = shlex.join(ending.command)
    return command if len(command) <= _SHOWN_COMMAND else f"{command[:_SHOWN_COMMAND]}…"
