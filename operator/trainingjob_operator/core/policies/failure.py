"""Why an attempt failed: the first failing rank and its cause, from the ends of its pods."""

import re
import signal
from dataclasses import replace
from datetime import UTC, datetime

from trainingjob_operator.api import MAX_WHOLE
from trainingjob_operator.api.container_rules import OWN_PREFIX
from trainingjob_operator.api.initializer_rules import INITIALIZER_PREFIX
from trainingjob_operator.core import border
from trainingjob_operator.core.cause import EXIT_TERMINATED, SIGNAL_BASE, Cause
from trainingjob_operator.core.decode import MAX_RANK
from trainingjob_operator.core.observe import (
    POD_DEADLINE,
    ContainerEnd,
    InitFailure,
    JobView,
    PodView,
)
from trainingjob_operator.core.reasons import NEVER_STARTED, Reason

MESSAGE_LIMIT = 1024
# What a reason has to look like, in the words of metav1.Condition.
REASON_FORMAT = re.compile(r"[A-Z][A-Za-z0-9]{0,63}")
# The keys of each of our termination messages (the trainer's failure.Termination).
REPORT_KEYS = {"reason", "message", "exception", "frame", "rank"}
TRAINER_MEMORY = "spec.resourcesPerNode.limits.memory"
_NEVER = datetime.max.replace(tzinfo=UTC)


def cause_of(job: JobView | None, pods: tuple[PodView, ...]) -> Cause:
    """The cause of a failed attempt; the Job's own reason if no pod shows one."""
    blamed = [pod for pod in pods if failed(pod)]
    if blamed:
        own = [pod.end.finished_at for pod in blamed if pod.end and not _terminated(pod.end)]
        first = min((at for at in own if at), default=_NEVER)
        return _pod_cause(min(blamed, key=lambda pod: _precedence(pod, first)))
    reason, message = (job.reason, job.message) if job is not None else ("", "")
    return Cause(reason or Reason.JOB_FAILED, _clip(message or "the child Job failed"))


def failed(pod: PodView) -> bool:
    """Whether a trainer failed: by its exit code, or as it reported though it ended with 0.

    A pipe (`train | tee log`) or a wrapper may hide the exit code from the container.
    """
    return pod.failed or (pod.end is not None and _hidden(pod.end) is not None)


def _hidden(end: ContainerEnd) -> Cause | None:
    """The failure that the trainer or trainingjob-exec reported before the container ended with 0.

    They write all of these keys; other programs may leave any termination message.
    """
    ours = border.json_object(end.message, len(end.message)) if end.exit_code == 0 else None
    return reported(end.message) if ours is not None and ours.keys() >= REPORT_KEYS else None


def _precedence(pod: PodView, first: datetime) -> tuple[bool, bool, datetime, bool, int]:
    """The first failure in time; ranks ended by a signal mostly follow another rank's failure.

    Those that we ended come last. A pod that was deleted before the `first` rank failed by itself
    is the one to which the others lost their connection.
    """
    if pod.deleted_at is not None and pod.deleted_at < first:
        return False, False, pod.deleted_at, False, pod.rank
    by_us = pod.ending and pod.reason == POD_DEADLINE
    before = pod.init_failure.end if pod.init_failure is not None else None
    end = pod.end or before
    finished = end.finished_at if end else None
    ended_by_signal = pod.end is not None and pod.end.exit_code > SIGNAL_BASE
    out_of_memory = pod.end is not None and pod.end.reason == Reason.OOM_KILLED
    terminated = pod.end is not None and _terminated(pod.end)
    by_another = ended_by_signal and not out_of_memory
    ended_by_us = by_us and (pod.end is None or by_another)
    return ended_by_us, terminated, finished or _NEVER, by_another, pod.rank


def _terminated(end: ContainerEnd) -> bool:
    return end.exit_code == EXIT_TERMINATED


def _pod_cause(pod: PodView) -> Cause:
    if pod.end is not None:
        explained = _explain(pod.end, _reason(pod, pod.end))
        cause = replace(explained, exit_code=pod.end.exit_code)
    elif pod.init_failure is not None and not pod.reason:
        cause = _init_cause(pod.init_failure)
    else:
        message = f"pod {pod.name} failed before its container ran"
        cause = Cause(pod.reason or Reason.POD_FAILED, message)
    return replace(cause, message=_clip(cause.message), node=pod.node or None, rank=pod.rank)


def _reason(pod: PodView, end: ContainerEnd) -> str:
    """The kubelet's reason; not our deadline where the container has just ended by itself."""
    by_itself = pod.ending and pod.reason == POD_DEADLINE and end.exit_code <= SIGNAL_BASE
    return "" if by_itself else pod.reason


def _init_cause(failure: InitFailure) -> Cause:
    """The same words as of the trainer; what came to its end is no failure of the training."""
    name = failure.container
    limit = f"the resources.limits.memory of {name} in spec.initContainers"
    what, reason = f"init container {name}", Reason.INIT_CONTAINER_FAILED
    if name.startswith(OWN_PREFIX):
        limit = TRAINER_MEMORY
    if name.startswith(INITIALIZER_PREFIX):
        what = f"initializer {name.removeprefix(INITIALIZER_PREFIX)}"
        reason = Reason.INITIALIZER_FAILED
    cause = _explain(failure.end, "", limit)
    plain = cause.reason in (Reason.NON_ZERO_EXIT_CODE, Reason.SIGNAL)
    return replace(
        cause,
        reason=reason if plain else cause.reason,
        message=f"{what}: {cause.message}",
        exit_code=failure.end.exit_code,
    )


def _explain(end: ContainerEnd, pod_reason: str, limit: str = TRAINER_MEMORY) -> Cause:
    if end.reason == Reason.OOM_KILLED:
        return Cause(Reason.OOM_KILLED, f"the container used more memory than {limit}")
    if end.reason in NEVER_STARTED:
        return Cause(end.reason, f"the container could not be started: {end.message.strip()}")
    if pod_reason:
        return Cause(pod_reason, end.message or f"the pod was ended by the node: {pod_reason}")
    own = reported(end.message)
    if own is not None:
        return own
    what = _exit_text(end)
    detail = f"{what}: {end.message.strip()}" if end.message.strip() else what
    by_signal = end.exit_code > SIGNAL_BASE
    return Cause(Reason.SIGNAL if by_signal else Reason.NON_ZERO_EXIT_CODE, detail)


def reported(text: str) -> Cause | None:
    """The failure that a trainer's JSON termination message reports, or None for other text.

    Any program may write one: a value of a wrong type is ignored.
    """
    report = border.json_object(text, len(text))
    reason = report.get("reason") if report is not None else None
    if report is None or not isinstance(reason, str) or not REASON_FORMAT.fullmatch(reason):
        return None
    frame = border.text(report.get("frame"), MESSAGE_LIMIT) or None
    message = border.text(report.get("message"), len(text))
    return Cause(
        reason,
        f"{message} ({frame})" if frame else message,
        global_rank=_count(report.get("rank"), MAX_RANK),
        frame=frame,
        epoch=_count(report.get("epoch"), MAX_WHOLE),
        step=_count(report.get("step"), MAX_WHOLE),
    )


def _count(value: object, most: int) -> int | None:
    """Only a JSON integer: our trainer never writes a rank of "1" or 1.0."""
    return border.whole(value, 0, most) if isinstance(value, int) else None


def _exit_text(end: ContainerEnd) -> str:
    if end.exit_code > SIGNAL_BASE:
        try:
            name = signal.Signals(end.exit_code - SIGNAL_BASE).name
        except ValueError:
            name = f"signal {end.exit_code - SIGNAL_BASE}"
        return f"the container was ended by {name}"
    return f"the container exited with code {end.exit_code}"


def _clip(text: str) -> str:
    """The end of a long text: the last lines of a log show the cause."""
    return text if len(text) <= MESSAGE_LIMIT else "…" + text[-(MESSAGE_LIMIT - 1) :]
