"""Why a process ends: the reason, the last frame of user code, the pod's termination message."""

from __future__ import annotations

import fcntl
import json
import logging
import signal
import sysconfig
import traceback
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from types import TracebackType
from typing import Protocol

from trainingjob_agent.causes.advice import advised
from trainingjob_agent.causes.printed import START, last_traceback
from trainingjob_agent.causes.reasons import classify, qualified_name
from trainingjob_agent.contract import DEFAULT_TERMINATION_LOG

EXIT_SUCCESS = 0
EXIT_FAILURE = 1
EXIT_TERMINATED = 143

MAX_MESSAGE_BYTES = 4096
"""The kubelet cuts a termination message here (Kubernetes, `terminationMessagePath`)."""

_SHOWN_BEHIND_A_GPU_FAULT = 600
_OURS = frozenset({"trainingjob_agent", "trainingjob_trainer"})
_BUILT_IN_TASKS = "trainingjob_trainer/tasks/"
_LIBRARIES = tuple(Path(sysconfig.get_path(key)) for key in ("stdlib", "platstdlib"))
_INSTALLED = frozenset({"site-packages", "dist-packages"})
"""Folders of installed packages; a virtual environment may use those of another, too."""

_logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Termination:
    """The termination message, which the operator reads from the container's terminated state."""

    reason: str
    message: str
    exception: str = ""
    frame: str = ""
    rank: int = 0
    epoch: int | None = None
    step: int | None = None

    def to_json(self) -> str:
        """Serialize to at most 4,096 bytes of UTF-8, by shortening the long texts."""
        limit = MAX_MESSAGE_BYTES
        while True:
            short = replace(
                self,
                message=_shorten(_encodable(self.message), limit),
                exception=_shorten(_encodable(self.exception), 200),
                frame=_shorten(_encodable(self.frame), 500),
            )
            text = json.dumps(asdict(short), ensure_ascii=False)
            if len(text.encode()) <= MAX_MESSAGE_BYTES:
                return text
            limit //= 2


def describe_exception(
    error: BaseException, *, rank: int = 0, epoch: int | None = None, step: int | None = None
) -> Termination:
    """Say what `error` was: its reason, its type and the last line of user code it came through.

    If this process only passes on an exception from another process, such as a DataLoader worker or
    one of `torch.multiprocessing.spawn`, that original exception is reported instead.
    """
    text = str(error)
    passed_on = last_traceback(text) if START in text else None
    if passed_on is not None:
        reason, message = passed_on.reason, passed_on.message or passed_on.name
        exception, frame = passed_on.name, user_frame(passed_on.frames)
        if not any(_is_user_code(file) for file, _, _ in passed_on.frames):
            frame = last_user_frame(error.__traceback__) or frame
    else:
        reason, message = classify(error), text or type(error).__name__
        exception, frame = qualified_name(type(error)), last_user_frame(error.__traceback__)
    return Termination(reason, advised(reason, message), exception, frame, rank, epoch, step)


class Fault(Protocol):
    """What is wrong with a GPU (the monitor's `GpuFault`)."""

    @property
    def reason(self) -> str:
        """GpuLost or GpuXidError."""
        ...

    @property
    def message(self) -> str:
        """Which GPU, and what it has."""
        ...


def blame_gpus(termination: Termination, faults: Sequence[Fault]) -> Termination:
    """Put what is wrong with GPUs in front of a failure.

    A lost GPU is the cause. An Xid may well be the consequence of an error in a kernel, so the
    reason stays what it was.
    """
    if not faults:
        return termination
    lost = any(fault.reason == "GpuLost" for fault in faults)
    found = "; ".join(fault.message for fault in faults)
    return replace(
        termination,
        reason="GpuLost" if lost else termination.reason,
        message=f"{found}. {_shorten(termination.message, _SHOWN_BEHIND_A_GPU_FAULT)}",
    )


def last_user_frame(trace: TracebackType | None) -> str:
    """Return `file:line in function` of the innermost frame that is neither a library nor ours.

    The built-in tasks count as user code. Without such a frame it is the innermost of all.
    """
    return user_frame([(f.filename, f.lineno or 0, f.name) for f in traceback.extract_tb(trace)])


def user_frame(frames: Sequence[tuple[str, int, str]]) -> str:
    """Return the same of frames as (file, line, function), the innermost last."""
    if not frames:
        return ""
    mine = (frame for frame in reversed(frames) if _is_user_code(frame[0]))
    file, line, function = next(mine, frames[-1])
    return f"{file}:{line} in {function}"


def write_termination_message(termination: Termination, path: Path) -> None:
    """Write the message unless another process of the pod did: the first failure is the cause.

    Outside of a pod the default path does not exist, and nothing is written.
    """
    if path == DEFAULT_TERMINATION_LOG and not path.exists():
        return
    try:
        with path.open("a", encoding="utf-8") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            if path.stat().st_size == 0:
                file.write(termination.to_json())
    except OSError as error:
        _logger.warning("cannot write the termination message to %s: %s", path, error)


def signal_name(number: int) -> str:
    """Return the name of a signal, such as SIGKILL."""
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"


def _is_user_code(filename: str) -> bool:
    path = Path(filename)
    if _OURS.intersection(path.parts):
        return _BUILT_IN_TASKS in path.as_posix()
    if not path.exists() or _INSTALLED.intersection(path.parts):
        return False
    return not any(library in path.parents for library in _LIBRARIES)


def _encodable(text: str) -> str:
    """Replace what UTF-8 has no bytes for: Python has it in the name of a file in another code."""
    return text.encode(errors="replace").decode()


def _shorten(text: str, limit: int) -> str:
    return text if len(text) <= limit else text[: limit - 1] + "…"
